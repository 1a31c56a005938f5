"""Agreement: the devices of one user show the same status, mutes, pins and drafts.

What a user sets is stored first and then told to all of the user's devices, on whatever node. A
device that was away is brought up from the store, by the number it holds; a node that may have
missed something looks there for all of its users.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.device import Device
from actors.user import UserActor
from anmei.clock import now_ms
from anmei.commands import TouchDevice
from anmei.errors import AnmeiError
from anmei.event import Event
from anmei.ids import id_of, make_key
from db import queries
from db.errors import StoreUnavailable

if TYPE_CHECKING:
    from actors.router import Router

PAGE = 50  # preferences of one event: at most as many drafts of 4 KiB
GAP_PART = 500  # users who are compared with the store in one read

log = logging.getLogger("anmei.agreement")


class Agreement:
    """Keeps the devices of each user here in agreement with those elsewhere and with the store."""

    def __init__(self, router: "Router", users: Mapping[str, UserActor]) -> None:
        self._router = router
        self._users = users
        self._synced: Callable[[Device, int], None] | None = None
        self._gap: Callable[[], None] | None = None

    def attend(self, synced: Callable[[Device, int], None], gap: Callable[[], None]) -> None:
        """From now on `synced(device, events)` is told of devices that were brought up to date, and
        `gap()` is called where something may have passed unseen."""
        self._synced, self._gap = synced, gap

    def synced(self, device: Device, report: Mapping[str, Mapping[str, Any]]) -> None:
        """A device was brought up to date; `report` is what was replayed of each conversation."""
        if self._synced is not None and not device.closed:
            self._synced(device, sum(line["count"] for line in report.values()))

    # Status

    def status_command(self, user: UserActor, status: str) -> TouchDevice:
        """What keeps the status for when the user comes back."""
        return TouchDevice(user_key=user.key, name=user.name, at=now_ms(), status=status)

    def set_status(self, user: UserActor, status: str) -> None:
        """The user wants to be shown so: on all nodes, and to the user's own devices too."""
        if status != user.status:
            at = max(now_ms(), user.status_at + 1)
            self.take_status(user.key, status, at)
            self._router.relay.status(user.key, status, at)

    def take_status(self, user_key: str, status: str, at: int) -> None:
        """The same, as far as this node is concerned. Of two that cross, the later one stays on
        every node."""
        user = self._users.get(user_key)
        if user is None or (at, status) <= (user.status_at, user.status):
            return
        user.status, user.status_at = status, at
        self._router.enter(user)
        if self._router.presence.status(user_key) == status:
            # Elsewhere the latest connection decides, and its node says so.
            self._router.show(user)
        data = {
            "user_id": id_of(user.key),
            "name": user.name,
            "status": status,
            "last_seen_at": None,
        }
        event = Event.of("user_status_update", data)
        for device in user.devices:
            if device.ready is None:
                device.push(event)

    def restore_status(self, device: Device, status: str) -> None:
        """A device has come, and the store says how its user wants to be shown."""
        user = self._users.get(device.principal.key)
        # What was said since on another node is newer than what was read.
        if user is not None and not (user.shown or user.status_at) and user.status != status:
            user.status = status
            self._router.enter(user)

    # Preferences

    async def replay(self, device: Device, place: int) -> int:
        """Tells the device what was changed above the number `place`; the number it then holds."""
        key = device.principal.key
        seqs = await asyncio.wrap_future(self._router.store.read(queries.preference_seqs, [key]))
        last = seqs.get(key, 0)
        if place > last:
            place = 0  # a backup was restored since
        while place < last and not device.closed:
            page = await self._read(key, place)
            shown = [one for one in page if _is_for(device, one)]
            await device.room()
            if shown:
                device.push(Event.of("preference_update", {"preferences": shown}))
            place = page[-1]["seq"] if len(page) == PAGE else last
        user = self._users.get(key)
        if user is not None and user.preference_seq is None:
            user.preference_seq = last
        return last

    def told(self, key: str, user_keys: Iterable[str], type: str, data: Mapping[str, Any]) -> None:
        """An event of a conversation went to the devices of these users here that are seated there.
        What was so set need not be looked up any more, if all before it was told and nobody is left
        out."""
        if type != "preference_update":
            return
        for user in [self._users[user_key] for user_key in user_keys if user_key in self._users]:
            out = any(
                device.attached and device.only in (None, key) and key not in device.conversations
                for device in user.devices
            )
            for preference in data["preferences"]:
                if not out and preference["seq"] - 1 == user.preference_seq:
                    user.preference_seq = preference["seq"]

    def close_gap(self) -> None:
        """Something may have passed unseen: the store is asked."""
        self.look(list(self._users))
        if self._gap is not None:
            self._gap()

    def look(self, user_keys: Iterable[str]) -> None:
        """What these users prefer may have been changed unseen: the store is asked."""
        self._router.supervisor.spawn("preferences", partial(self._compare, user_keys))

    async def _compare(self, user_keys: Iterable[str]) -> None:
        known = [user for key in user_keys if (user := self._users.get(key)) is not None]
        keys = [user.key for user in known if user.preference_seq is not None]
        try:
            for start in range(0, len(keys), GAP_PART):
                seqs = await asyncio.wrap_future(
                    self._router.store.read(queries.preference_seqs, keys[start : start + GAP_PART])
                )
                for key, seq in seqs.items():
                    await self._catch_up(key, seq)
        except (StoreUnavailable, AnmeiError) as error:
            # The archive announces the next gap when the store is back.
            log.info("preferences could not be compared with the store: %s", error)

    async def _catch_up(self, key: str, last: int) -> None:
        """What is read here as its word comes is told twice: a client takes the higher number."""
        user = self._users.get(key)
        while user is not None and user.preference_seq is not None and user.preference_seq < last:
            page = await self._read(key, user.preference_seq)
            place = page[-1]["seq"] if len(page) == PAGE else last
            news = [one for one in page if one["seq"] > user.preference_seq]
            for device in list(user.devices):
                shown = [one for one in news if _is_for(device, one)]
                if shown and device.attached:
                    device.push(Event.of("preference_update", {"preferences": shown}))
            user.preference_seq = max(user.preference_seq, place)

    async def _read(self, key: str, place: int) -> list[dict[str, Any]]:
        return await asyncio.wrap_future(
            self._router.store.read(queries.preferences, key, place, PAGE)
        )


def _is_for(device: Device, preference: dict[str, Any]) -> bool:
    """Whether the device is told of that conversation at all."""
    key = make_key(device.principal.tenant, preference["conversation_id"])
    return device.only is None or device.only == key
