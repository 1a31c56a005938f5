"""A device: one live connection of one user, and what waits to be sent to it."""

import asyncio
from typing import TYPE_CHECKING

from actors.bundle import Bundle
from actors.counters import Counters
from actors.flusher import ENOUGH, Flusher
from actors.held import Held
from actors.transport import Transport
from anmei.close_codes import CloseCode
from anmei.event import Event
from anmei.frames import Sync
from anmei.inbox import inbox_key, is_inbox, owner_of
from anmei.principal import Principal

if TYPE_CHECKING:
    from actors.sequencer import Sequencer


PATIENCE = 20.0  # seconds that a replay waits for a peer that takes nothing


class Acked:
    """How far a device has acknowledged a conversation on this connection, and how often it was
    sent something of it again since."""

    __slots__ = ("seq", "tries")

    def __init__(self) -> None:
        self.seq = 0
        self.tries = 0


class Device:
    """The outbound side of a connection. Nothing here waits, and nothing here raises.

    A numbered event arrives through `deliver`. A device that is not yet `attached` lets it go: the
    replay that follows begins at a mark taken later and reads it from the store. A conversation
    under replay has an entry in `held` and its events wait there. With `held` empty (None), the
    common case, an event costs one append.
    """

    __slots__ = (
        "_closed", "_counters", "_deflate", "_held_bytes", "_limit", "_oversize", "_rooms",
        "_send", "acked", "attached", "bundle", "close_code", "connected_at", "connection_id",
        "conversations", "device_id", "device_type", "expiry_told", "flusher", "held",
        "meanwhile", "next_ping", "only", "parked", "pending", "pinged_at", "preference_place",
        "principal", "queued", "ready", "replaying", "straight", "sync_requested", "task",
        "transport", "turn", "urgent", "viewing",
    )  # fmt: skip

    def __init__(
        self,
        transport: Transport,
        principal: Principal,
        *,
        connection_id: str,
        device_id: str,
        device_type: str,
        only: str | None,
        connected_at: int,
        limit: int,
        deflate: bool = False,
        flusher: Flusher,
        counters: Counters,
    ) -> None:
        self.transport = transport
        self._send = transport.send
        self.principal = principal
        self.connection_id = connection_id
        self.device_id = device_id
        self.device_type = device_type
        #: The key of the one conversation, or inbox, it is told of; None for all of the user's.
        self.only = only
        #: Milliseconds since 1970.
        self.connected_at = connected_at
        #: Where it takes part, by conversation key: what it may type into and is delivered from.
        self.conversations: dict[str, Sequencer] = {}
        #: Conversations the person is looking at now.
        self.viewing: set[str] = set()
        #: Why the server ended the connection; None while, or where, it did not.
        self.close_code: int | None = None
        self.attached = False
        #: With whom it waits for the events of a large conversation; then nothing is pending here.
        self.bundle: Bundle | None = None
        #: Up to so many bytes an event is queued without any question (see `fan_out`); less than 0
        #: while there are questions.
        self.straight = -1
        #: By conversation key; None while the device has acknowledged nothing.
        self.acked: dict[str, Acked] | None = None
        self.held: dict[str, Held] | None = None
        #: Memberships that changed before it was attached: the number of the change that let the
        #: user in, or the word of farewell where it put the user out.
        self.meanwhile: dict[str, int | Event] = {}
        #: The number of the user's preferences that its client said it holds.
        self.preference_place = 0
        self.replaying = False
        #: Done when frames may be handled; None once that is so.
        self.ready: asyncio.Future[None] | None = None
        #: Done with the first `sync`, for a client that promised one.
        self.sync_requested: asyncio.Future[Sync] | None = None
        #: What welcomes it or replays to it, cancelled when the connection ends.
        self.task: asyncio.Task[None] | None = None
        #: Kept by the heartbeat, in loop time.
        self.next_ping = 0.0
        self.pinged_at = 0.0
        self.expiry_told = False

        #: For the flusher (see Flushable). More would look as if the peer read too slowly.
        self.pending: list[bytes] = []
        self.queued = 0
        self.turn = 0
        self.parked = 0
        self.urgent = False

        self._limit = limit
        self._deflate = deflate
        self.flusher = flusher
        self._counters = counters
        # What the one frame takes that was let through although it is larger than the limit.
        self._oversize = 0
        self._held_bytes = 0
        self._closed = False
        self._rooms: list[asyncio.Future[None]] = []

    @property
    def inbox(self) -> str:
        """The key of the inbox it is told of: the user's own, but for an admin who watches."""
        return self.watches or inbox_key(self.principal.key)

    @property
    def watches(self) -> str | None:
        """The key of somebody else's inbox, where that is all it is told of."""
        only = self.only
        if only is None or not is_inbox(only) or owner_of(only) == self.principal.key:
            return None
        return only

    @property
    def closed(self) -> bool:
        return self._closed

    def attach(self) -> None:
        """From now on events are delivered, or held."""
        self.attached = True
        self._straighten()

    def deliver(self, conversation_key: str, change_seq: int, event: Event) -> None:
        """A numbered event of a conversation, from its sequencer."""
        if not self.attached:
            return
        if self.held is not None:
            held = self.held.get(conversation_key)
            if held is not None:
                self._hold(held, change_seq, event)
                return
        self.push(event)

    def acknowledged(self, conversation_key: str, seq: int) -> None:
        """The device says that it holds everything up to `seq`."""
        if conversation_key in self.conversations:
            if self.acked is None:
                self.acked = {}
            acked = self.acked.setdefault(conversation_key, Acked())
            if seq > acked.seq:
                acked.seq, acked.tries = seq, 0

    def tried(self, conversation_key: str) -> None:
        """Something of the conversation is sent again."""
        if self.acked is not None:
            self.acked.setdefault(conversation_key, Acked()).tries += 1

    def put_out(self, conversation_key: str, goodbye: Event) -> None:
        """The user is no longer in a conversation: whatever is under way for it ends here."""
        self.leave()
        self.conversations.pop(conversation_key, None)
        self.viewing.discard(conversation_key)
        if self.acked is not None:
            self.acked.pop(conversation_key, None)
        self.release(conversation_key)
        if self.attached:
            self.push(goodbye)
        else:
            self.meanwhile[conversation_key] = goodbye

    def hold(self, conversation_key: str) -> Held:
        """From now on events of the conversation wait."""
        self.leave()
        self.release(conversation_key)
        if self.held is None:
            self.held = {}
        held = self.held[conversation_key] = Held()
        self._straighten()
        return held

    def holds(self, conversation_key: str, held: Held) -> bool:
        """Whether events of the conversation still wait there, and not in a later one's place."""
        return self.held is not None and self.held.get(conversation_key) is held

    def release(self, conversation_key: str) -> None:
        """From now on events of the conversation are delivered at once."""
        if self.held is not None:
            held = self.held.pop(conversation_key, None)
            if held is not None:
                self._held_bytes -= held.bytes
            if not self.held:
                self.held = None
            self._straighten()

    def next_held(self, held: Held) -> tuple[int, Event] | None:
        """Takes the first event that waits there."""
        if not held.events:
            return None
        change_seq, event = held.events.popleft()
        held.bytes -= len(event.frame)
        self._held_bytes -= len(event.frame)
        return change_seq, event

    def push(self, event: Event) -> None:
        """Queues what must arrive, or ends the connection where too much waits already."""
        if self.bundle is not None:
            self.leave()
        frame = event.deflated if self._deflate else event.frame
        size = len(frame)
        if self.queued + size > self._limit and not self._make_room(size):
            return
        self.queued += size
        if not self.pending:
            self.flusher.add(self)
        self.pending.append(frame)
        self._counters.deliveries += 1
        if self.queued > ENOUGH:
            self.hurry()

    def push_now(self, event: Event) -> None:
        """`push` for what somebody waits for, such as an answer: it takes no turn."""
        self.push(event)
        self.hurry()

    def hurry(self) -> None:
        """What waits is sent at the end of the tick."""
        self.leave()
        if self.pending:
            self.urgent = True
            if self.parked:
                self.parked = 0
                self.flusher.add(self)

    def push_if_room(self, event: Event) -> None:
        """Queues what may be lost (typing, presence), while the queue is not half full."""
        if self.queued > self._limit >> 1:
            self._counters.shed += 1
        else:
            self.push(event)

    def join(self, bundle: Bundle) -> None:
        """From now on it waits there, until it leaves or takes what there is."""
        self.bundle = bundle
        self.straight = -1

    def leave(self) -> None:
        """Takes what it waits for with others to itself, where it does; it is sent when theirs is,
        or sooner."""
        bundle = self.bundle
        if bundle is not None:
            self.bundle = None
            self._straighten()
            self.turn = bundle.parked or bundle.turn
            self.urgent = bundle.urgent
            self.flusher.add(self)
            self.pending += bundle.pending
            self.queued += bundle.queued
            bundle.left(self)

    def take(self, data: bytes, turn: int) -> None:
        """What it has waited for with others is sent."""
        self.bundle = None
        self.straight = self._limit
        self.turn = turn
        send = self._send
        self.queued = send(data)

    def flush(self) -> None:
        if self.bundle is not None:
            self.leave()
        pending = self.pending
        self.urgent = False
        self.parked = 0
        if pending:
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            pending.clear()
            send = self._send  # a slot that is called where it is looked up is slow
            self.queued = send(data)

    def ping(self) -> None:
        """Asks the peer for a sign of life, behind what waits."""
        self.flush()
        self.transport.ping()

    def drained(self) -> None:
        """The transport has nothing left to send."""
        self.queued = sum(map(len, self.pending))
        rooms, self._rooms = self._rooms, []
        for room in rooms:
            if not room.done():
                room.set_result(None)

    async def room(self) -> None:
        """Waits until less than half of the queue is taken: what a replay does between events."""
        while self.queued > self._limit >> 1 and not self._closed:
            if self.pending:
                self.flush()
                continue
            room = asyncio.get_running_loop().create_future()
            self._rooms.append(room)
            before = self.transport.buffered()
            try:
                await asyncio.wait_for(room, PATIENCE)
            except TimeoutError:
                self._rooms = [other for other in self._rooms if other is not room]
                if self.transport.buffered() >= before and not self._closed:
                    self.close(CloseCode.TOO_SLOW, f"nothing was read for {PATIENCE:g} seconds")

    def close(self, code: CloseCode, reason: str = "", retry_after_ms: int | None = None) -> None:
        """Ends the connection: a `disconnect` event, then the close frame. More does nothing."""
        if self._closed:
            return
        self._closed = True
        self.close_code = int(code)
        reason = reason or str(code.__doc__).partition(":")[0]
        data = {
            "code": int(code),
            "reason": reason,
            "reconnect": code.reconnect,
            "retry_after_ms": retry_after_ms,
        }
        self.leave()
        self.pending.append(Event.of("disconnect", data).frame)
        self.flush()
        self._limit = self.straight = -1  # nothing is queued behind a close
        self.transport.close(int(code), reason)

    def ended(self) -> None:
        """The connection is gone: whoever waits for room goes on, and finds it closed."""
        self.leave()
        self._closed = True
        self._limit = self.straight = -1
        self.parked = 0
        self.pending.clear()
        self.held = None
        if self.ready is not None and not self.ready.done():
            self.ready.set_result(None)  # whoever waits for the welcome goes on, and finds it over
        self.drained()

    def _straighten(self) -> None:
        plain = self.attached and self.held is None and not self._deflate and self.bundle is None
        self.straight = self._limit if plain else -1

    def _hold(self, held: Held, change_seq: int, event: Event) -> None:
        if held.overflown:
            return
        size = len(event.frame)
        if self._held_bytes + size > self._limit:
            self._held_bytes -= held.bytes
            held.bytes = 0
            held.events.clear()
            held.overflown = True
        else:
            self._held_bytes += size
            held.bytes += size
            held.events.append((change_seq, event))

    def _make_room(self, size: int) -> bool:
        """Sends what the kernel takes at once, since that waits for nobody. False, and the end of
        the connection, where there is still too much; one frame goes whatever its size."""
        if self._closed:
            return False
        self.flush()
        if not self.queued:
            # One frame that is larger than the limit does not make the next one too much.
            self._oversize = size if size > self._limit else 0
            return True
        if self.queued + size <= self._limit + self._oversize:
            return True
        # Nobody reads: what waits is given up, since the client syncs when it comes back.
        self.pending.clear()
        waiting = self.queued + size
        self.close(CloseCode.TOO_SLOW, f"{waiting} bytes were waiting; at most {self._limit} may")
        return False
