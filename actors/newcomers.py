"""Newcomers: conversations that users who are here were let into, and heard nothing of.

The event that lets somebody in seats his devices. Where it was lost, came behind another one, or
was never sent, since the node that made it did not know who is here, nothing else would say so:
whoever is not seated in a conversation is told nothing of it. So the store is asked.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from actors.device import Device
from actors.replay import Replay
from anmei.close_codes import CloseCode
from anmei.errors import AnmeiError
from anmei.inbox import is_inbox
from db import queries
from db.errors import StoreUnavailable

if TYPE_CHECKING:
    from actors.router import Router

PART = 500  # users who are compared with the store in one read
PAUSE = 1.0  # seconds before the store is asked again that did not answer
RETRY_AFTER_MS = 1_000
ANY = -1  # a number of conversations that nobody is in

log = logging.getLogger("anmei.newcomers")


class Newcomers:
    """Seats devices where their users are by now, and replays to them what they have missed."""

    def __init__(self, router: "Router") -> None:
        self._router = router
        self._wanted: dict[str, None] = {}
        self._looking = False

    def look(self, user_keys: Iterable[str]) -> None:
        """These users may be in conversations that their devices here were not told of."""
        self._wanted.update(dict.fromkeys(user_keys))
        if self._wanted and not self._looking:
            self._looking = True
            self._router.supervisor.spawn("newcomers", self._look)

    async def _look(self) -> None:
        try:
            while self._wanted:
                part = list(self._wanted)[:PART]
                for user_key in part:
                    del self._wanted[user_key]
                try:
                    await self._compare(part)
                except (StoreUnavailable, AnmeiError) as error:
                    log.info("memberships could not be compared with the store: %s", error)
                    self._wanted.update(dict.fromkeys(part))
                    await asyncio.sleep(PAUSE)
        finally:
            self._looking = False

    async def _compare(self, user_keys: list[str]) -> None:
        told: dict[str, int] = {}
        for user_key in user_keys:
            counts = {_count(device) for device in self._devices(user_key)}
            if counts:
                told[user_key] = counts.pop() if len(counts) == 1 else ANY
        for user_key, places in (await self._read(told)).items():
            begun = [
                (device, place.conversation_key)
                for place in places
                for device in self._devices(user_key)
                if self._seat(device, place)
            ]
            if begun:
                self._router.supervisor.spawn("newcomer", partial(self._replay, user_key, begun))

    async def _read(self, told: dict[str, int]) -> dict[str, list[queries.Place]]:
        if not told:
            return {}
        return await asyncio.wrap_future(self._router.store.read(queries.memberships, told))

    def _devices(self, user_key: str) -> list[Device]:
        """Those that have been seated where the user was, and are told of everything."""
        return [
            device
            for device in self._router.devices_of(user_key)
            if device.only is None and device.conversations and not device.closed
        ]

    def _seat(self, device: Device, place: queries.Place) -> bool:
        """Whether the device has a seat now that it did not have, and is to be replayed to."""
        key = place.conversation_key
        if key in device.conversations:
            return False
        if device.attached:
            device.hold(key)
        else:
            device.meanwhile.setdefault(key, place.joined_seq)
        self._router.seat(device, place)
        if key not in device.conversations:
            device.release(key)
            return False
        return device.attached

    async def _replay(self, user_key: str, begun: list[tuple[Device, str]]) -> None:
        try:
            # Once more: who was put out between the read and the seat has no place there, and
            # whoever is put out from now on hears it.
            places = await self._read({user_key: ANY})
            now = {place.conversation_key: place for place in places.get(user_key, ())}
            for device, key in begun:
                if key in now:
                    await self._bring(device, now[key])
                else:
                    self._router.unseat(device, key)
        except Exception as error:
            # What came meanwhile would be held for ever behind a replay that will not end.
            for device, key in begun:
                if device.held is not None and key in device.held:
                    why = "a replay could not be finished"
                    device.close(CloseCode.OVERLOADED, why, RETRY_AFTER_MS)
            if not isinstance(error, StoreUnavailable | AnmeiError):
                raise

    async def _bring(self, device: Device, place: queries.Place) -> None:
        """Replays what there is since the user came in."""
        router, key = self._router, place.conversation_key
        sequencer = device.conversations.get(key)
        if sequencer is not None and sequencer.mark < place.change_seq:
            await sequencer.reached(place.change_seq)
        await Replay(
            device,
            {key: place.joined_seq - 1},
            store=router.store,
            limit=router.settings.limit_replay,
            total=router.settings.limit_replay,
            counters=router.counters,
        ).run()


def _count(device: Device) -> int:
    """In how many conversations the device has a seat."""
    return sum(not is_inbox(key) for key in device.conversations)
