"""The WebSocket protocol of one connection, in place of Tornado's.

Tornado's own reads each frame in several awaited pieces and lets clients break rules. This one
parses every whole frame in what has come, in the call that brought it
(docs/decisions/0003-straight-to-the-socket.md).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tornado.escape import json_encode, utf8
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketHandler, WebSocketProtocol

from anmei import wire
from anmei.close_codes import CloseCode
from anmei.frame_parser import BATCH, Event, FrameParser, unmask
from anmei.wire import ProtocolViolation
from handlers.conduit import Conduit, open_conduit
from handlers.websocket_handshake import shake_hands
from handlers.websocket_sink import Sink

try:
    from tornado.speedups import websocket_mask
except ImportError:  # Tornado was built without its C extension.
    websocket_mask = unmask

#: How long a close may take, in seconds: for what is queued, the close frame and its answer.
CLOSE_TIMEOUT: Final = 2.0

log = logging.getLogger(__name__)


class Link(WebSocketProtocol):
    """One connection: the RFC towards the peer, a Sink and the five Transport methods inwards.

    `get_websocket_protocol()` of the handler makes and returns it; the handler's `open()` runs
    (and is awaited) before anything reaches the sink. `limit` is the largest message in bytes, and
    may be set to another one at any time.
    permessage-deflate is offered when the handler's `get_compression_options()` is not None.
    `farewell` makes, from code and reason, the frame that goes before a close frame which the
    Link sends of itself.
    """

    def __init__(
        self,
        handler: WebSocketHandler,
        sink: Sink,
        *,
        limit: int,
        farewell: Callable[[int, str], bytes] | None = None,
    ) -> None:
        super().__init__(handler)
        self._sink = sink
        self._limit = limit
        self._farewell = farewell
        #: Whether permessage-deflate was negotiated, so that `deflate_frame`s may be sent.
        self.deflate = False
        #: The code of our own close frame, once it was sent.
        self.sent_code: int | None = None
        self._subprotocol: str | None = None
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._peer_code = wire.ABNORMAL
        self._peer_reason = ""
        self._conduit: Conduit | None = None
        self.send = _nowhere
        self._parser: FrameParser | None = None
        # Our close frame is out: nothing more is sent, and messages are ignored.
        self._closing = False
        # Frames do not matter any more; only our last bytes have to get out, and then this.
        self._last_step: Callable[[], None] | None = None
        self._finished = False
        self._deadline: asyncio.TimerHandle | None = None
        # What the sink asked to be waited for, the events behind it, and what has come since.
        self._awaited: asyncio.Future[None] | None = None
        self._behind: list[Event] = []
        self._unread = b""
        # A pong waits to be written; of the pings that come meanwhile only the last is answered.
        self._pong_waits = False
        self._next_pong: bytes | None = None

    # The Transport methods.

    #: Send whole frames, behind what waits. Returns the bytes that wait now. Never waits or raises;
    #: does nothing after `close`. It is the conduit's own: a call between would be paid for by
    #: every delivery.
    send: Callable[[bytes], int]

    def buffered(self) -> int:
        """Bytes accepted and not yet taken by the kernel."""
        return self._conduit.waiting if self._conduit is not None else 0

    def ping(self) -> None:
        self.send(wire.ping_frame())

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Send a close frame behind what waits; drop the link at the answer or CLOSE_TIMEOUT.
        Idempotent. Raises ValueError for a code that must not be on the wire."""
        if self._closing:
            return
        self.sent_code = wire.NORMAL if code is None else code
        frame = wire.close_frame(self.sent_code, reason or "")
        self._closing = True
        self._set_deadline()
        if self._conduit is not None:
            self._conduit.write_last(frame)

    def heard_at(self) -> float:
        return self._heard_at

    @property
    def limit(self) -> int:
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        if self._parser is not None:
            self._parser.limit = limit

    # The life of the connection.

    async def accept_connection(self, handler: WebSocketHandler) -> None:
        """Shakes hands and begins. The connection lives on after this has returned."""
        agreed = shake_hands(handler)
        if agreed is None:
            return
        self._subprotocol, self.deflate = agreed
        stream = handler.detach()
        self._parser = FrameParser(self._limit, deflate=self.deflate, unmask=websocket_mask)
        try:
            if stream.writing():
                await stream.write(b"")  # behind the handshake's answer
        except StreamClosedError:
            pass
        conduit = self._conduit = open_conduit(stream)
        self.send = conduit.write
        try:
            opened = handler.open(*handler.open_args, **handler.open_kwargs)
            if opened is not None:
                await opened
        except Exception as error:
            self._fail(error)
        finally:
            conduit.start(self)

    # What the conduit tells.

    def on_bytes(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._awaited is None:
            self._pump(data)
            return
        # The sink is not ready: this much is kept, and reading stops. Until something comes it
        # goes on, so that a peer that leaves is noticed.
        self._unread += data
        if self._conduit is not None:
            self._conduit.pause()

    def on_written(self) -> None:
        self._pong_waits = False
        payload, self._next_pong = self._next_pong, None
        if self._last_step is not None:
            self._last_step()
        elif not self._closing:
            if payload is not None:
                self._pong(payload)
            self._tell(self._sink.on_drain)

    def on_lost(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None
        self._finish()

    # Reading.

    def _pump(self, data: bytes) -> None:
        """Serves the frames that are whole. After a full batch others have their turn first, and
        nothing more is read before the rest of what came is served."""
        parser, conduit = self._parser, self._conduit
        if parser is None or conduit is None:
            return
        while self._last_step is None:
            try:
                events, data = parser.feed(data), b""
            except ProtocolViolation as violation:
                self._refuse(violation.code, violation.reason)
                self._end(self._half_close)
                break
            if not events:
                break
            if not self._serve(events):
                return
            if len(events) == BATCH or self.deflate:
                conduit.pause()
                self._loop.call_soon(self._pump, b"")
                return
        conduit.resume()

    def _serve(self, events: list[Event]) -> bool:
        """Serves events in order. False where the sink wants to be waited for: the rest comes
        behind that."""
        for index, (opcode, payload) in enumerate(events):
            if opcode == wire.CLOSE:
                self._on_close_frame(payload)
            elif self._closing:
                continue
            elif opcode == wire.TEXT:
                try:
                    waiting = self._sink.on_text(payload)
                except Exception:
                    self._fail()
                    continue
                if waiting is not None:
                    self._hold(waiting, events[index + 1 :])
                    return False
            elif opcode == wire.PING:
                self._pong(payload)
            elif opcode == wire.BINARY:
                self._tell(self._sink.on_binary)
        return True

    def _hold(self, waiting: Awaitable[None], behind: list[Event]) -> None:
        """Reads nothing more until the sink is ready."""
        self._look_ahead(behind)
        self._behind = behind
        self._awaited = asyncio.ensure_future(waiting)
        self._awaited.add_done_callback(self._held)

    def _held(self, awaited: "asyncio.Future[None]") -> None:
        if self._awaited is not awaited:
            _error_of(awaited)  # the connection was lost meanwhile: it was cancelled
            return
        self._awaited = None
        if error := _error_of(awaited):
            self._fail(error)
        behind, self._behind = self._behind, []
        if self._serve(behind):
            unread, self._unread = self._unread, b""
            self._pump(unread)

    def _look_ahead(self, events: list[Event]) -> None:
        """Before the sink makes the peer wait: answer its pings, and do not let a close that has
        already come wait for ever."""
        for index, (opcode, payload) in enumerate(events):
            if opcode == wire.PING:
                self._pong(payload)
                events[index] = wire.PONG, b""
            elif opcode == wire.CLOSE:
                self._peer_code, self._peer_reason = wire.read_close(payload)
                self._set_deadline()

    def _on_close_frame(self, payload: bytes) -> None:
        self._peer_code, self._peer_reason = wire.read_close(payload)
        if not self._closing:
            self._flush()
            self._closing = True
            if payload:
                self.sent_code = self._peer_code
            if self._conduit is not None:
                self._conduit.write_last(wire.close_frame(self.sent_code))
        self._end(self._drop)

    def _refuse(self, code: int, reason: str) -> None:
        """Close of our own accord."""
        if self._closing:
            return
        self._flush()
        if self._farewell is not None:
            try:
                self.send(self._farewell(code, reason))
            except Exception:
                log.exception("no farewell for close code %d", code)
        self.close(code, reason)

    def _fail(self, error: BaseException | None = None) -> None:
        """Close for `error`, or for the exception that is being handled."""
        log.error("closing a connection that failed", exc_info=error or True)
        self._refuse(CloseCode.SERVER_ERROR, "server error")

    def _tell(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            self._fail()

    def _end(self, last_step: Callable[[], None]) -> None:
        """Do `last_step` once everything is written, and ignore what the peer still sends."""
        self._last_step = last_step
        self._set_deadline()
        if not self.buffered():
            last_step()

    def _half_close(self) -> None:
        """Tell the peer that nothing more comes, and read on until it closes or the deadline.

        Closed with bytes unread, the kernel would send a reset, which may overtake our close
        frame.
        """
        if self._conduit is not None:
            self._conduit.half_close()

    def _drop(self) -> None:
        if self._conduit is not None:
            self._conduit.close()

    def _set_deadline(self) -> None:
        if self._deadline is None and not self._finished:
            self._deadline = self._loop.call_later(CLOSE_TIMEOUT, self._drop)

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = self._closing = True
        if self._deadline is not None:
            self._deadline.cancel()
        try:
            self._sink.on_closed(self._peer_code, self._peer_reason)
        except Exception:
            log.exception("on_closed failed")
        try:
            self.handler.on_ws_connection_close(self._peer_code, self._peer_reason)
        except Exception:
            log.exception("on_close of the handler failed")
        # No longer used. Without the cycles the memory is free at once, not when the collector
        # comes, which is seldom.
        del self._sink, self.handler
        self._last_step = self._parser = None

    # Writing.

    def _pong(self, payload: bytes) -> None:
        # A peer that pings faster than it reads must not fill our memory with pongs; RFC 6455,
        # 5.5.3, lets us answer only the latest of several pings.
        if self._pong_waits:
            self._next_pong = payload
            return
        self._flush()
        if self.send(wire.pong_frame(payload)):
            self._pong_waits = True

    def _flush(self) -> None:
        """Before a frame of our own: what the sink keeps back comes first."""
        try:
            self._sink.on_control()
        except Exception:
            log.exception("a flush failed")

    # What Tornado's handler asks of its protocol besides.

    @property
    def selected_subprotocol(self) -> str | None:
        return self._subprotocol

    def is_closing(self) -> bool:
        return self._closing

    def on_connection_close(self) -> None:
        self._drop()

    def write_message(
        self, message: str | bytes | dict[str, Any], binary: bool = False
    ) -> "asyncio.Future[None]":
        """For plain Tornado code; the future is done at once, so it is no flow control."""
        payload = utf8(json_encode(message) if isinstance(message, dict) else message)
        self.send(wire.binary_frame(payload) if binary else wire.text_frame(payload))
        done = self._loop.create_future()
        done.set_result(None)
        return done

    def write_ping(self, data: bytes) -> None:
        self.send(wire.ping_frame(data))

    def start_pinging(self) -> None: ...

    def set_nodelay(self, x: bool) -> None: ...  # It is always on.

    async def _receive_frame_loop(self) -> None:
        raise NotImplementedError("only for Tornado's client")

    def _process_server_headers(self, key: Any, headers: Any) -> None:
        raise NotImplementedError("only for Tornado's client")


def _nowhere(data: bytes) -> int:
    return 0


def _error_of(future: "asyncio.Future[None]") -> BaseException | None:
    """What a future that is done failed with."""
    return asyncio.CancelledError() if future.cancelled() else future.exception()
