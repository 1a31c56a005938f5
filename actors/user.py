"""A user who is online here: the devices, and what each of their frames does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from actors import (
    change_frames,
    message_frames,
    preference_frames,
    receipt_frames,
    session_frames,
    sync_frames,
)
from actors.actor import Actor
from actors.device import Device
from actors.sequencer import Sequencer
from anmei.clock import to_wire
from anmei.codec import encode_ack, encode_error
from anmei.commands import Command, Outcome
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.event import Event
from anmei.frames import Frame
from anmei.ids import id_of, make_key
from anmei.inbox import inbox_key
from db.errors import StoreUnavailable

if TYPE_CHECKING:
    from actors.router import Router

MOST_READS = 8  # histories and syncs of one user that may be under way

Work = Callable[[], Awaitable[None]]

HANDLERS: Mapping[str, Callable[..., None]] = {
    **change_frames.HANDLERS,
    **message_frames.HANDLERS,
    **preference_frames.HANDLERS,
    **receipt_frames.HANDLERS,
    **session_frames.HANDLERS,
    **sync_frames.HANDLERS,
}

log = logging.getLogger("anmei.user")


class UserActor(Actor[tuple[Device, Frame]]):
    """Applies the frames of one user's devices in the order they came.

    Nothing here waits: writes go to the archive, which calls back; reads get a task of their own.
    """

    __slots__ = (
        "_leaving",
        "_reads",
        "router",
        "devices",
        "key",
        "left",
        "name",
        "preference_seq",
        "shown",
        "status",
        "status_at",
        "task",
    )

    def __init__(self, key: str, router: "Router") -> None:
        super().__init__(router.settings.limit_inbox_frames)
        self.key = key
        #: As the latest token has it.
        self.name = id_of(key)
        #: In the order they came.
        self.devices: dict[Device, None] = {}
        self.status = "online"
        #: When it was set, in milliseconds since 1970; 0 where it never was.
        self.status_at = 0
        #: Up to where the devices here have been told of the user's preferences at least; None
        #: until the first one was.
        self.preference_seq: int | None = None
        #: Who has been told that the user is online: 0 nobody, 1 one conversation, 2 all.
        self.shown = 0
        #: Where devices that left were seated: who is told when the grace time ends.
        self.left: set[str] = set()
        self.task: asyncio.Task[None] | None = None
        self.router = router
        self._leaving: asyncio.TimerHandle | None = None
        self._reads = 0

    def conversations(self) -> Iterable[Sequencer]:
        """Where the user takes part, as far as the devices here are told of it."""
        found = {}
        for device in self.devices:
            found.update(device.conversations)
        return found.values()

    def stay(self) -> None:
        """Somebody is back, or still there."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def leave(self, grace: float) -> None:
        """The last device is gone: the user is retired after `grace` seconds."""
        self.stay()
        loop = asyncio.get_running_loop()
        self._leaving = loop.call_later(grace, self.router.retire, self)

    def receive(self, message: tuple[Device, Frame]) -> None:
        device, frame = message
        try:
            HANDLERS[frame.type](self, device, frame.id, frame.data)
        except AnmeiError as error:
            self.refuse(device, frame.id, error)
        except Exception:
            log.exception("a %s frame of connection %s failed", frame.type, device.connection_id)
            self.router.counters.crashes += 1
            failure = AnmeiError(ErrorCode.INTERNAL, f"see the log for {device.connection_id}")
            self.refuse(device, frame.id, failure)

    # What the functions that handle frames stand on

    def place(self, device: Device, conversation_id: str) -> str:
        """The key of a conversation that the device may speak of at all; the store judges the
        rest. A device of one conversation cannot tell any other from one that is not there."""
        key = make_key(device.principal.tenant, conversation_id)
        if device.only is not None and device.only != key:
            raise not_found("conversation")
        return key

    def inbox(self, device: Device) -> str:
        """The key of the user whose inbox the device may mark: his own."""
        if device.only is not None and device.only != inbox_key(self.key):
            raise not_found("inbox")
        return self.key

    def seat(self, device: Device, conversation_id: str) -> str:
        """The key of a conversation the device is seated in."""
        key = self.place(device, conversation_id)
        if key not in device.conversations:
            raise not_found("conversation")
        return key

    def write(
        self,
        device: Device,
        id: str | None,
        command: Command,
        shape: Callable[[dict[str, Any]], dict[str, Any]] | None,
    ) -> None:
        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                self.refuse(device, id, outcome.error)
            else:
                reply = outcome.reply or {}
                self.acknowledge(device, id, shape(reply) if shape is not None else reply)

        self.router.archive.submit(command, done)

    def read(self, device: Device, id: str | None, work: Work) -> None:
        if self._reads >= MOST_READS:
            raise AnmeiError(
                ErrorCode.OVERLOADED, f"{MOST_READS} reads are under way", retry_after_ms=500
            )
        self._reads += 1
        self.router.supervisor.spawn("read", partial(self._reading, device, id, work))

    async def _reading(self, device: Device, id: str | None, work: Work) -> None:
        try:
            await work()
        except AnmeiError as error:
            self.refuse(device, id, error)
        except StoreUnavailable:
            failure = AnmeiError(ErrorCode.UNAVAILABLE, "the database cannot be reached")
            self.refuse(device, id, failure)
        finally:
            self._reads -= 1

    def acknowledge(self, device: Device, id: str | None, data: dict[str, Any]) -> None:
        if id is not None:
            device.push_now(Event(encode_ack(id, data)))

    def refuse(self, device: Device, id: str | None, error: AnmeiError) -> None:
        self.router.counters.errors[error.code.code] += 1
        device.push_now(Event(encode_error(id, error)))


def refreshed(device: Device, id: str | None) -> None:
    """Answers a `refresh_token` that the door has verified."""
    if id is not None:
        expires_at = to_wire(device.principal.expires_at * 1000)
        device.push_now(Event(encode_ack(id, {"expires_at": expires_at})))
