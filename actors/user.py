"""A user who is online here: the devices, and what each of their frames does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.actor import Actor
from actors.device import Device
from actors.replay import Replay, keyed
from actors.sequencer import Sequencer
from anmei import frames
from anmei.clock import now_ms, to_wire
from anmei.close_codes import CloseCode
from anmei.codec import check_metadata, encode_ack, encode_error, encode_pong
from anmei.commands import Command, MoveMarks, Outcome, SendMessage
from anmei.content import check_content
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.event import Event
from anmei.frames import Frame
from anmei.ids import id_of, make_key, new_id
from db import queries
from db.errors import StoreUnavailable

if TYPE_CHECKING:
    from actors.router import Router

RETRY_AFTER_MS = 1_000
MOST_READS = 8  # histories and syncs of one user that may be under way

Work = Callable[[], Awaitable[None]]

log = logging.getLogger("anmei.user")


class UserActor(Actor[tuple[Device, Frame]]):
    """Applies the frames of one user's devices in the order they came.

    Nothing here waits: writes go to the archive, which calls back; reads get a task of their own.
    """

    __slots__ = (
        "_leaving",
        "_reads",
        "_router",
        "devices",
        "key",
        "left",
        "name",
        "shown",
        "status",
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
        #: Who has been told that the user is online: 0 nobody, 1 one conversation, 2 all.
        self.shown = 0
        #: Where devices that left were seated: who is told when the grace time ends.
        self.left: set[str] = set()
        self.task: asyncio.Task[None] | None = None
        self._router = router
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
        self._leaving = loop.call_later(grace, self._router.retire, self)

    def receive(self, message: tuple[Device, Frame]) -> None:
        device, frame = message
        try:
            getattr(self, "_on_" + frame.type)(device, frame.id, frame.data)
        except AnmeiError as error:
            self._refuse(device, frame.id, error)
        except Exception:
            log.exception("a %s frame of connection %s failed", frame.type, device.connection_id)
            self._router.counters.crashes += 1
            failure = AnmeiError(ErrorCode.INTERNAL, f"see the log for {device.connection_id}")
            self._refuse(device, frame.id, failure)

    # One method a frame type; `id` is None where the client wants no answer.

    def _on_ping(self, device: Device, id: str | None, data: bytes) -> None:
        device.push(Event(encode_pong(id, data)))

    def _on_send_message(self, device: Device, id: str | None, data: frames.SendMessage) -> None:
        principal = device.principal
        key = self._place(device, data.conversation_id)
        check_content(data.content, self._router.settings.limit_content_bytes)
        command = SendMessage(
            conversation_key=key,
            sender_key=principal.key,
            sender_name=principal.name,
            message_id=new_id("msg"),
            client_msg_id=data.client_msg_id,
            content=data.content,
            created_at=now_ms(),
            message_type=data.message_type,
            reply_to=data.reply_to,
            is_important=data.is_important,
            priority=data.priority,
            extra_metadata=check_metadata(data.extra_metadata),
        )
        self._write(device, id, command, self._sent)

    def _on_delivered(self, device: Device, id: str | None, data: frames.Delivered) -> None:
        self._move(device, id, data, read=False)

    def _on_mark_read(self, device: Device, id: str | None, data: frames.MarkRead) -> None:
        self._move(device, id, data, read=True)

    def _on_history(self, device: Device, id: str | None, data: frames.History) -> None:
        if data.before_seq is not None and data.after_seq is not None:
            raise AnmeiError(
                ErrorCode.BAD_REQUEST, "history: give before_seq or after_seq, not both"
            )
        self._read(device, id, partial(self._history, device, id, data))

    def _on_sync(self, device: Device, id: str | None, data: frames.Sync) -> None:
        waiting = device.sync_requested
        if device.replaying or (waiting is not None and waiting.done()):
            raise AnmeiError(
                ErrorCode.OVERLOADED, "a sync of this connection is under way", retry_after_ms=500
            )
        if waiting is not None:
            waiting.set_result(data.positions)
        else:
            self._read(device, None, partial(self._sync, device, data.positions))
            device.replaying = True
        self._acknowledge(device, id, {})

    def _on_typing(self, device: Device, id: str | None, data: frames.Typing) -> None:
        key = self._seat(device, data.conversation_id)
        event = {
            "conversation_id": data.conversation_id,
            "user_id": device.principal.user_id,
            "name": device.principal.name,
            "is_typing": data.is_typing,
        }
        self._router.whisper(device, key, "typing", event)
        self._acknowledge(device, id, {})

    def _on_join_session(self, device: Device, id: str | None, data: frames.JoinSession) -> None:
        key = self._seat(device, data.conversation_id)
        self._router.look_at(device, key, joined=True)
        self._acknowledge(device, id, {})

    def _on_leave_session(self, device: Device, id: str | None, data: frames.LeaveSession) -> None:
        key = self._seat(device, data.conversation_id)
        self._router.look_at(device, key, joined=False)
        self._acknowledge(device, id, {})

    def _on_set_status(self, device: Device, id: str | None, data: frames.SetStatus) -> None:
        self._router.set_status(self, data.status)
        self._acknowledge(device, id, {})

    def _on_authenticate(self, device: Device, id: str | None, data: frames.Authenticate) -> None:
        raise AnmeiError(
            ErrorCode.BAD_REQUEST,
            "this connection is authenticated; refresh_token takes a newer one",
        )

    # Inside

    def _place(self, device: Device, conversation_id: str) -> str:
        """The key of a conversation that the device may speak of at all; the store judges the
        rest. A device of one conversation cannot tell any other from one that is not there."""
        key = make_key(device.principal.tenant, conversation_id)
        if device.only is not None and device.only != key:
            raise not_found("conversation")
        return key

    def _seat(self, device: Device, conversation_id: str) -> str:
        """The key of a conversation the device is seated in."""
        key = self._place(device, conversation_id)
        if key not in device.conversations:
            raise not_found("conversation")
        return key

    def _move(
        self,
        device: Device,
        id: str | None,
        data: frames.Delivered | frames.MarkRead,
        *,
        read: bool,
    ) -> None:
        if (data.seq is None) == (data.message_ids is None):
            raise AnmeiError(ErrorCode.BAD_REQUEST, "give either seq or message_ids")
        command = MoveMarks(
            conversation_key=self._place(device, data.conversation_id),
            user_key=self.key,
            read=read,
            at=now_ms(),
            seq=data.seq,
            message_ids=tuple(data.message_ids or ()),
            device_id=device.device_id,
        )
        self._write(device, id, command, None)

    def _write(
        self,
        device: Device,
        id: str | None,
        command: Command,
        shape: Callable[[dict[str, Any]], dict[str, Any]] | None,
    ) -> None:
        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                self._refuse(device, id, outcome.error)
            else:
                reply = outcome.reply or {}
                self._acknowledge(device, id, shape(reply) if shape is not None else reply)

        self._router.archive.submit(command, done)

    def _sent(self, reply: dict[str, Any]) -> dict[str, Any]:
        message = reply["message"]
        counters = self._router.counters
        counters.messages += 1
        counters.duplicates += reply["duplicate"]
        return {
            "message_id": message["id"],
            "conversation_id": message["conversation_id"],
            "seq": message["seq"],
            "change_seq": message["change_seq"],
            "created_at": message["created_at"],
            "duplicate": reply["duplicate"],
        }

    def _read(self, device: Device, id: str | None, work: Work) -> None:
        if self._reads >= MOST_READS:
            raise AnmeiError(
                ErrorCode.OVERLOADED, f"{MOST_READS} reads are under way", retry_after_ms=500
            )
        self._reads += 1
        self._router.supervisor.spawn("read", partial(self._reading, device, id, work))

    async def _reading(self, device: Device, id: str | None, work: Work) -> None:
        try:
            await work()
        except AnmeiError as error:
            self._refuse(device, id, error)
        except StoreUnavailable:
            failure = AnmeiError(ErrorCode.UNAVAILABLE, "the database cannot be reached")
            self._refuse(device, id, failure)
        finally:
            self._reads -= 1

    async def _history(self, device: Device, id: str | None, data: frames.History) -> None:
        key = self._place(device, data.conversation_id)
        reading = self._router.store.read(
            queries.history, self.key, key, data.before_seq, data.after_seq, data.limit
        )
        # The store's own limit does not run on a link that has gone silent.
        patience = 4 * self._router.settings.db_timeout / 1000
        try:
            page = await asyncio.wait_for(asyncio.wrap_future(reading), patience)
        except TimeoutError:
            raise AnmeiError(
                ErrorCode.TIMEOUT, f"the database did not answer for {patience:g} s"
            ) from None
        if page is None:
            raise not_found("conversation")
        await device.room()
        self._acknowledge(device, id, {"conversation_id": data.conversation_id, **page})

    async def _sync(self, device: Device, positions: dict[str, int]) -> None:
        router = self._router
        try:
            report = await Replay(
                device,
                keyed(device, positions),
                store=router.store,
                limit=router.settings.limit_replay,
                counters=router.counters,
            ).run()
        except BaseException:
            # What came meanwhile is held behind a replay that will not end: from here on the
            # device would miss it. It comes back and syncs.
            device.close(CloseCode.OVERLOADED, "the sync could not be finished", RETRY_AFTER_MS)
            raise
        finally:
            device.replaying = False
        data = {"conversations": report, "inbox": None}
        device.push(Event.of("sync_complete", data))

    def _acknowledge(self, device: Device, id: str | None, data: dict[str, Any]) -> None:
        if id is not None:
            device.push(Event(encode_ack(id, data)))

    def _refuse(self, device: Device, id: str | None, error: AnmeiError) -> None:
        self._router.counters.errors[error.code.code] += 1
        device.push(Event(encode_error(id, error)))


def refreshed(device: Device, id: str | None) -> None:
    """Answers a `refresh_token` that the door has verified."""
    if id is not None:
        expires_at = to_wire(device.principal.expires_at * 1000)
        device.push(Event(encode_ack(id, {"expires_at": expires_at})))
