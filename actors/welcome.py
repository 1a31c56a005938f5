"""Welcome: what happens to a device between its arrival and its first live event."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from actors.device import Device
from actors.replay import UNREAD, Replay, complete, keyed
from actors.router import Router
from anmei import __version__
from anmei.clock import now_ms, to_wire
from anmei.close_codes import CloseCode
from anmei.commands import TouchDevice
from anmei.event import Event
from anmei.ids import make_key
from anmei.inbox import is_inbox
from anmei.settings import Settings
from db import queries
from db.errors import StoreUnavailable

HEADS = 100  # conversations that are shown whole at once; the rest is paged over HTTP
SEATS_A_TURN = 500
RETRY_AFTER_MS = 1_000
FIRST_RECONNECT_MS = 500
LONGEST_RECONNECT_MS = 30_000

log = logging.getLogger("anmei.welcome")


class Welcome:
    """Attaches one device: its places are read, it is seated, told where it is, and replayed to.

    The order matters. The router knows the device before anything is read, so no event can pass
    between the read and the seat unseen; events that were committed before the read but have not
    gone out here yet are waited for, so that the heads it is told are never ahead of what comes.
    """

    def __init__(
        self, device: Device, router: Router, settings: Settings, *, client_resumes: bool
    ) -> None:
        self._device = device
        self._router = router
        self._settings = settings
        self._client_resumes = client_resumes

    async def run(self) -> None:
        device = self._device
        if device.closed:
            return  # sent away before its turn came, as one connection too many is
        try:
            await self._run()
        except StoreUnavailable:
            device.close(CloseCode.OVERLOADED, "the database cannot be reached", RETRY_AFTER_MS)
        except Exception:
            device.close(CloseCode.SERVER_ERROR)
            raise
        finally:
            self._listen()

    async def _run(self) -> None:
        device, router = self._device, self._router
        principal = device.principal
        view = await asyncio.wrap_future(
            router.store.read(
                queries.attach_view, principal.key, device.device_id, HEADS, device.only
            )
        )
        router.agreement.restore_status(device, view.status)
        # Only now: the view must not know the device by this very connection.
        router.archive.submit(
            TouchDevice(
                user_key=principal.key,
                name=principal.name,
                device_id=device.device_id,
                device_type=device.device_type,
                at=now_ms(),
            ),
            lambda outcome: None,
        )
        places = view.places if view.inbox is None else [*view.places, view.inbox]
        if not places:
            device.close(CloseCode.FORBIDDEN, "no such conversation, or not one of yours")
            return
        for number, place in enumerate(places, 1):
            router.seat(device, place)
            if number % SEATS_A_TURN == 0:
                await asyncio.sleep(0)  # somebody with thousands of them does not stop all others
        router.check_later(device)
        for place in places:
            sequencer = device.conversations.get(place.conversation_key)
            if sequencer is not None and sequencer.mark < place.change_seq:
                await sequencer.reached(place.change_seq)
        router.arrived(device)
        device.push_now(Event.of("connection_established", self._established(view)))
        if self._client_resumes:
            device.sync_requested = asyncio.get_running_loop().create_future()
        self._listen()
        if device.only is not None and not is_inbox(device.only):
            router.look_at(device, device.only, joined=True)
        known = {place.conversation_key: _received(place, view) for place in places}
        if self._client_resumes:
            requested = await self._requested()
            if requested is not None:
                told = {place.conversation_key: place.change_seq for place in places}
                if device.inbox not in requested:
                    told |= {key: seq for key, seq in known.items() if is_inbox(key)}
                await self._replay(told | requested, requested)
                return
        await self._replay(known, None)

    def _listen(self) -> None:
        """From here on the device's own frames are handled, and it is told what is not numbered:
        what is told once belongs to nothing that was shown before."""
        ready, self._device.ready = self._device.ready, None
        if ready is not None and not ready.done():
            ready.set_result(None)

    async def _requested(self) -> dict[str, int] | None:
        """The places of the client's `sync`, by key; None where it does not come in time."""
        device = self._device
        assert device.sync_requested is not None
        try:
            sync = await asyncio.wait_for(device.sync_requested, self._settings.sync_wait / 1000)
        except TimeoutError:
            return None
        finally:
            device.sync_requested = None
        return keyed(device, sync)

    async def _replay(self, places: Mapping[str, int], reported: Mapping[str, int] | None) -> None:
        """Replays from `places`; `sync_complete` speaks of the conversations in `reported`, or,
        where that is None, of those that had something to replay, and so of the inbox."""
        device = self._device
        device.replaying = True
        try:
            begun = await self._begun(places)
            # What came of memberships since the view was read: somebody let in begins at the change
            # that did it, which may not be the one that was heard first; somebody put out is told.
            joined = {}
            for key, change in device.meanwhile.items():
                if isinstance(change, Event):
                    device.push_now(change)
                elif key not in places:
                    joined[key] = min(change, begun.get(key, change)) - 1
            device.meanwhile.clear()
            report = await Replay(
                device,
                {**places, **joined},
                store=self._router.store,
                limit=self._settings.limit_replay,
                total=self._settings.limit_replay_total,
                counters=self._router.counters,
            ).run()
        finally:
            device.replaying = False
        preferences = await self._router.agreement.replay(device, device.preference_place)
        shown = {
            key: line
            for key, line in report.items()
            if (reported is not None and key in reported)
            or ((reported is None or is_inbox(key)) and (line["count"] or line["reset"]))
            or (is_inbox(key) and line["from"] != line["to"])
        }
        device.push_now(complete(shown, preferences))
        self._router.agreement.synced(device, report)

    async def _begun(self, places: Mapping[str, int]) -> dict[str, int]:
        """The numbers that the user came in by, where that was since the view was read."""
        device = self._device
        if not any(
            isinstance(number, int) for key, number in device.meanwhile.items() if key not in places
        ):
            return {}
        key = device.principal.key
        found = await asyncio.wrap_future(self._router.store.read(queries.memberships, {key: -1}))
        return {place.conversation_key: place.joined_seq for place in found.get(key, ())}

    def _status(self, view: queries.AttachView) -> str:
        user = self._router.users.get(self._device.principal.key)
        return view.status if user is None else user.status

    def _established(self, view: queries.AttachView) -> dict[str, Any]:
        device, settings, router = self._device, self._settings, self._router
        principal = device.principal
        heads = [
            head
            for head in view.heads
            if make_key(principal.tenant, head["conversation_id"]) in device.conversations
        ]
        for head in heads:
            for participant in head["participants"]:
                if participant["user_id"] == principal.user_id:
                    participant["name"] = principal.name  # it may be newer than the store's
        return {
            "connection_id": device.connection_id,
            "user_id": principal.user_id,
            "name": principal.name,
            "status": self._status(view),
            "device_id": device.device_id,
            "protocol": 1,
            "server_time": to_wire(now_ms()),
            "server_version": __version__,
            "heartbeat": {
                "interval_ms": settings.heartbeat_interval,
                "timeout_ms": settings.connection_timeout,
            },
            "reconnect": {
                "max_attempts": settings.max_reconnect_attempts,
                "base_delay_ms": FIRST_RECONNECT_MS,
                "max_delay_ms": LONGEST_RECONNECT_MS,
            },
            "limits": {
                "frame_bytes": settings.limit_frame_bytes,
                "content_bytes": settings.limit_content_bytes,
                "frames_per_second": settings.limit_frames_per_second,
                "frames_burst": settings.limit_frames_burst,
                "connections": settings.limit_connections_per_user,
            },
            "token_expires_at": to_wire(principal.expires_at * 1000),
            "conversations": heads,
            "has_more_conversations": view.has_more,
            "presence": router.news.known(principal.tenant, heads),
            "inbox": {
                "seq": 0 if view.inbox is None else view.inbox.change_seq,
                "unread": view.inbox_unread,
            },
        }


def _received(place: queries.Place, view: queries.AttachView) -> int:
    """Up to where the device has a conversation, as far as the store knows. What another device
    acknowledged counts for a new one alone."""
    if place.device_seq is not None:
        return place.device_seq
    if is_inbox(place.conversation_key):
        return UNREAD if view.inbox_unread else place.change_seq
    return max(0, place.joined_seq - 1) if view.device_known else place.delivered_seq
