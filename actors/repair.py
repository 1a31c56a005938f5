"""Repair: what the sequencers have missed is read from the store."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from functools import partial

from actors.agreement import Agreement
from actors.bus import Bus
from actors.device import Device
from actors.newcomers import Newcomers
from actors.sequencer import Sequencer
from actors.supervisor import Supervisor
from anmei.commands import Change
from anmei.errors import AnmeiError
from db import queries
from db.errors import StoreUnavailable
from db.store import Store

log = logging.getLogger("anmei.repair")

GAP_PART = 500  # conversations that are compared with the store in one read


class Repair:
    """Reads holes and compares marks, each in a task of its own."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        supervisor: Supervisor,
        newcomers: Newcomers,
        agreement: Agreement,
    ) -> None:
        self._newcomers = newcomers
        self._agreement = agreement
        #: Conversations, and users.
        self._unsettled: set[str] = set()
        self._come: set[str] = set()
        self._settling = False
        self._bus = bus
        self._store = store
        self._supervisor = supervisor

    def fill(self, sequencer: Sequencer) -> None:
        """Reads what is above the sequencer's mark, and hands it over."""
        self._supervisor.spawn("fill", partial(self._read_hole, sequencer))

    def check_later(self, device: Device, sequencers: Mapping[str, Sequencer]) -> None:
        """Compares the device's conversations with the store once every other node knows that it is
        here.

        A node that commits before it knows that somebody has come here sends nothing here. It has
        committed before it said that it knows, so a look after that finds it; whatever it commits
        from then on is sent.
        """
        self._unsettled.update(device.conversations)
        if device.only is None:
            self._come.add(device.principal.key)
        if not self._settling:
            self._settling = True
            self._supervisor.spawn("settle", partial(self._settle, sequencers))

    def close_gap(self, sequencers: Mapping[str, Sequencer], user_keys: Iterable[str]) -> None:
        """Asks the store which of these conversations have moved on unseen, and which of these
        users have been let into others."""
        self._supervisor.spawn("gap", partial(self._compare, sequencers))
        self._newcomers.look(user_keys)

    async def _settle(self, sequencers: Mapping[str, Sequencer]) -> None:
        try:
            while self._unsettled:
                keys, self._unsettled = self._unsettled, set()
                come, self._come = self._come, set()
                await self._bus.settled()
                await self._compare({key: sequencers[key] for key in keys if key in sequencers})
                self._newcomers.look(come)
                self._agreement.look(come)
        finally:
            self._settling = False

    async def _read_hole(self, sequencer: Sequencer) -> None:
        try:
            backlog, audience = await asyncio.wrap_future(
                self._store.read(queries.hole, sequencer.key, sequencer.mark)
            )
        except (StoreUnavailable, AnmeiError) as error:
            # Somebody may be waiting for this: it is asked again until it is answered.
            log.warning("a hole of a conversation could not be read: %s", error)
            sequencer.retry()
            return
        except Exception:
            sequencer.retry()  # or it would wait for this answer for ever
            raise
        sequencer.filled(
            [Change(sequencer.key, *event, audience) for event in backlog.events],
            backlog.head if backlog.whole else None,
        )

    async def _compare(self, sequencers: Mapping[str, Sequencer]) -> None:
        marks = [(key, sequencer.mark) for key, sequencer in sequencers.items()]
        for start in range(0, len(marks), GAP_PART):
            part = marks[start : start + GAP_PART]
            try:
                moved = await asyncio.wrap_future(self._store.read(queries.changed_since, part))
            except (StoreUnavailable, AnmeiError) as error:
                # The archive announces the next gap when the store is back.
                log.warning("conversations could not be compared with the store: %s", error)
                return
            for key, head in moved:
                sequencer = sequencers.get(key)
                if sequencer is not None:
                    sequencer.expect(head)
