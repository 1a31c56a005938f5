"""Reckoning: what a user has not read in all, for the user's devices and for readers outside.

It stands behind the archive and in front of nothing: what is committed is acknowledged and routed
first. A total is counted anew from the store each time, so it cannot drift; a user is counted at
most once a second, and only so many users are.
"""

import asyncio
import logging
from itertools import islice
from typing import Any, Protocol

from actors.archive import Listener
from actors.device import Device
from actors.presence import OFFLINE
from actors.router import Router
from anmei.commands import Outcome
from anmei.errors import AnmeiError
from anmei.event import Event
from db import queries
from db.errors import StoreUnavailable

PAUSE = 1.0  # seconds between two counts of one user
RATE = 100  # users who are counted in a second
TOGETHER = 10  # users who are counted in one read, as of one moment
MOST_DUE = 20_000  # users who may wait for it

log = logging.getLogger("anmei.reckoning")


class Mirror(Protocol):
    """Where readers outside find what a user has not read."""

    def committed(self, outcome: Outcome) -> None:
        """Something was committed here."""

    def wanted(self, user_key: str) -> None:
        """Somebody wants to know what this user has not read."""

    def synced(self, device: Device, events: int) -> None:
        """A device has been brought up to date, by so many events."""

    def unsure(self) -> None:
        """Something may have passed unseen."""


class Reckoning:
    """A listener of the archive behind the router, and one task that counts."""

    def __init__(self, listener: Listener, router: Router, mirror: Mirror | None) -> None:
        self._listener = listener
        self._router = router
        self._mirror = mirror
        self._loop = asyncio.get_running_loop()
        #: Users to be counted, in the order in which they came.
        self._due: dict[str, None] = {}
        #: Users who were counted in the last second, and whether they are due again.
        self._resting: dict[str, bool] = {}
        self._wake = asyncio.Event()

    def apply(self, outcome: Outcome) -> None:
        self._listener.apply(outcome)
        mark = outcome.mark
        if mark is not None and mark.unread is not None:
            self._changed(mark.user_key)
        if self._mirror is not None:
            self._mirror.committed(outcome)

    def gap(self) -> None:
        self._listener.gap()

    def unsure(self) -> None:
        """Something on other nodes may have passed unseen."""
        if self._mirror is not None:
            self._mirror.unsure()

    def synced(self, device: Device, events: int) -> None:
        """A device has been brought up to date, by so many events."""
        if device.only is None:
            self._changed(device.principal.key)
        if self._mirror is not None:
            self._mirror.synced(device, events)

    def asked(self, user_key: str) -> None:
        """Somebody asked over HTTP what the user has not read."""
        if self._mirror is not None:
            self._mirror.wanted(user_key)

    async def run(self) -> None:
        """Counts until it is cancelled."""
        while True:
            await self._wake.wait()
            while self._due:
                user_keys = list(islice(self._due, TOGETHER))
                for user_key in user_keys:
                    del self._due[user_key]
                    self._resting[user_key] = False
                self._loop.call_later(PAUSE, self._rested, user_keys)
                await self._count(user_keys)
                await asyncio.sleep(len(user_keys) / RATE)
            self._wake.clear()

    def _changed(self, user_key: str) -> None:
        if user_key in self._resting:
            self._resting[user_key] = True
        elif len(self._due) < MOST_DUE:
            self._due[user_key] = None
            self._wake.set()

    def _rested(self, user_keys: list[str]) -> None:
        for user_key in user_keys:
            if self._resting.pop(user_key):
                self._changed(user_key)

    async def _count(self, user_keys: list[str]) -> None:
        router = self._router
        if self._mirror is not None:
            for user_key in user_keys:
                self._mirror.wanted(user_key)
        online = [key for key in user_keys if router.presence.status(key) != OFFLINE]
        if not online:
            return
        try:
            found = await asyncio.wrap_future(router.store.read(queries.unread_of, online))
        except (StoreUnavailable, AnmeiError) as error:
            log.info("what is unread could not be counted: %s", error)
            return
        for user_key, counted in found.items():
            self._tell(
                user_key,
                {name: value for name, value in counted.items() if name != "conversations"},
            )

    def _tell(self, user_key: str, data: dict[str, Any]) -> None:
        self._router.to_users((user_key,), Event.of("unread_totals", data))
        self._router.relay.users((user_key,), "unread_totals", data)
