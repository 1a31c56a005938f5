"""The WebSocket doors: `/ws/chat`, `/ws/chat/session/{conversation_id}` for one conversation, and
`/ws/user/{user_id}/messages` for one inbox.

Whatever goes wrong here is answered with an error frame or a close code: an exception that
escaped to Tornado would cut the connection without a word.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

from actors.device import Device
from actors.user import UserActor, refreshed
from actors.welcome import Welcome
from anmei.bucket import Bucket
from anmei.clock import now_ms
from anmei.close_codes import CloseCode
from anmei.codec import decode, encode_error, read_id
from anmei.errors import AnmeiError, BadFrame, ErrorCode, not_found
from anmei.event import Event
from anmei.frames import Authenticate, Frame
from anmei.ids import ID_WORDS, is_id, make_key, new_id
from anmei.inbox import inbox_key
from anmei.principal import Principal
from handlers.answers import Answers
from handlers.bearer import find_token, origin_allowed
from handlers.websocket_protocol import Link

DEVICE_TYPES = ("mobile", "desktop", "tablet", "web")
SUBPROTOCOL = "anmei.v1"
MOST_BAD_FRAMES = 100  # in a row, before the connection is closed
RETRY_AFTER_MS = 2_000
STRANGER_BYTES = 16_384  # the largest frame of somebody who has not shown a token yet
TOKEN_BYTES = 4_096  # of a frame, which cost as much as a frame: each part that is begun counts

log = logging.getLogger("anmei.chat")


class ChatSocket(Answers, WebSocketHandler):
    """One connection at a door: authenticates it, makes its Device, and hands its frames on."""

    def initialize(self, origins: tuple[str, ...]) -> None:
        self._services = self.services
        self._origins = origins
        self._link: Link | None = None
        self._device: Device | None = None
        self._user: UserActor | None = None
        self._bucket: Bucket | None = None
        self._named: str | None = None
        self._bad_frames = 0
        self._limited = 0
        self._gone = False
        self._stranger_timer: asyncio.TimerHandle | None = None

    # The handshake

    def prepare(self) -> None:
        self.check_method()
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise AnmeiError(ErrorCode.BAD_REQUEST, "expected a WebSocket handshake")
        if not origin_allowed(self.request.headers.get("Origin"), self.request.host, self._origins):
            raise AnmeiError(ErrorCode.FORBIDDEN, "pages of this origin may not connect")
        services = self._services
        limit, router = services.settings.limit_connections, services.router
        if router.draining or (limit and router.connections + len(router.strangers) >= limit):
            raise AnmeiError(
                ErrorCode.OVERLOADED,
                "no more connections here now: try again",
                retry_after_ms=RETRY_AFTER_MS,
            )

    def check_origin(self, origin: str) -> bool:
        return origin_allowed(origin, self.request.host, self._origins)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None

    def get_compression_options(self) -> dict[str, Any] | None:
        return {} if self._services.settings.compression else None

    def get_websocket_protocol(self) -> Link:
        settings = self._services.settings
        self._link = Link(
            self,
            self,
            limit=min(STRANGER_BYTES, settings.limit_frame_bytes),
            farewell=_farewell,
        )
        return self._link

    async def open(self, id: str | None = None) -> None:
        """Decides who is there; a token that does not hold is told so in a frame and a close
        code, which browsers hand on, rather than by a status, which they hide."""
        try:
            self._named = id
            token = find_token(self.request)
            if token is None:
                services = self._services
                services.router.strangers.add(self)
                self._stranger_timer = services.loop.call_later(
                    services.settings.auth_timeout / 1000,
                    self.send_away,
                    CloseCode.UNAUTHORIZED,
                    "no token came in time",
                )
                return
            self._attach(await self._services.keyring.verify_async(token))
        except AnmeiError as error:
            self._turn_away(error)

    # What the link tells

    def on_text(self, data: bytes) -> Awaitable[None] | None:
        device, bucket = self._device, self._bucket
        if device is None or bucket is None:
            return self._meet(data)
        self._services.counters.frames += 1
        cost = max(1, -(-len(data) // TOKEN_BYTES))
        wait = bucket.take(self._services.loop.time(), cost)
        if wait:
            self._slow_down(device, data, cost, wait)
            return None
        try:
            frame = decode(data)
        except BadFrame as error:
            self._bad_frames += 1
            self._answer_error(device, error.frame_id, error)
            if self._bad_frames >= MOST_BAD_FRAMES:
                device.close(
                    CloseCode.PROTOCOL_ERROR, f"{MOST_BAD_FRAMES} frames in a row made no sense"
                )
            return None
        self._bad_frames = self._limited = 0
        if device.ready is not None:
            return self._handle_later(device, frame)
        if frame.type == "refresh_token":
            return self._refresh(device, frame)
        user = self._user
        assert user is not None
        if not user.tell((device, frame)):
            return self._wait_for_room(user, device, frame)
        return None

    def on_binary(self) -> None:
        self.send_away(CloseCode.PROTOCOL_ERROR, "binary frames have no meaning here: send text")

    def on_control(self) -> None:
        if self._device is not None:
            self._device.flush()

    def on_drain(self) -> None:
        if self._device is not None:
            self._device.drained()

    def on_closed(self, code: int, reason: str) -> None:
        self._gone = True
        self._no_stranger()
        device = self._device
        if device is not None:
            self._services.heartbeat.remove(device)
            sent = self._link.sent_code if self._link is not None else None
            self._services.router.detach(device, device.close_code or sent or code)

    def send_away(self, code: CloseCode, reason: str, retry_after_ms: int | None = None) -> None:
        """Ends the connection, whether it has become a device or not."""
        if self._device is not None:
            self._device.close(code, reason, retry_after_ms)
        elif self._link is not None:
            self._services.counters.closes[code] += 1
            self._link.send(_farewell(code, reason, retry_after_ms))
            self._link.close(code, reason)

    def place(self, principal: Principal, id: str) -> str:
        """The key of the one thing that the path names by `id`. Raises AnmeiError where there can
        be none."""
        if not is_id(id):
            raise not_found("conversation")
        return make_key(principal.tenant, id)

    # Inside

    def _attach(self, principal: Principal) -> None:
        """From here on the connection is a device. Nothing in this waits, so that it is attached
        whole or not at all."""
        if self._gone:
            return  # the connection ended while its token was being checked
        services = self._services
        settings = services.settings
        link = self._link
        assert link is not None
        device_id = self._argument("device_id") or new_id("dev")
        device_type = self._argument("device_type") or "web"
        if not is_id(device_id):
            raise AnmeiError(ErrorCode.BAD_REQUEST, f"device_id: expected {ID_WORDS}")
        if device_type not in DEVICE_TYPES:
            raise AnmeiError(
                ErrorCode.BAD_REQUEST, f"device_type: expected one of {', '.join(DEVICE_TYPES)}"
            )
        resume = self._argument("resume")
        if resume not in (None, "client", "server"):
            raise AnmeiError(ErrorCode.BAD_REQUEST, "resume: expected client or server")
        device = Device(
            link,
            principal,
            connection_id=new_id("conn"),
            device_id=device_id,
            device_type=device_type,
            only=None if self._named is None else self.place(principal, self._named),
            connected_at=now_ms(),
            limit=settings.limit_outbound_bytes,
            deflate=link.deflate,
            flusher=services.flusher,
            counters=services.counters,
        )
        device.ready = services.loop.create_future()
        link.limit = settings.limit_frame_bytes
        self._no_stranger()
        self._bucket = Bucket(
            settings.limit_frames_per_second, settings.limit_frames_burst, services.loop.time()
        )
        self._device = device
        self._user = services.router.attach(device)
        services.heartbeat.add(device)
        welcome = Welcome(device, services.router, settings, client_resumes=resume == "client")
        device.task = services.router.supervisor.spawn("welcome", welcome.run)

    async def _meet(self, data: bytes) -> None:
        """A frame of somebody who is not known yet: `authenticate`, or good-bye."""
        try:
            frame = decode(data)
            if not isinstance(frame.data, Authenticate):
                raise AnmeiError(
                    ErrorCode.UNAUTHORIZED,
                    f"expected authenticate as first frame, got {frame.type}",
                )
            self._attach(await self._services.keyring.verify_async(frame.data.token))
        except AnmeiError as error:
            self._turn_away(error)
            return
        device = self._device
        if frame.id is not None and device is not None:
            refreshed(device, frame.id)

    async def _handle_later(self, device: Device, frame: Frame) -> None:
        """Frames that come before the welcome wait for it; nothing more is read meanwhile."""
        while device.ready is not None and not device.closed:
            await asyncio.shield(device.ready)
        user = self._user
        if frame.type == "refresh_token":
            await self._refresh(device, frame)
        elif user is not None and not device.closed:
            await self._wait_for_room(user, device, frame)

    async def _wait_for_room(self, user: UserActor, device: Device, frame: Frame) -> None:
        while not user.tell((device, frame)):  # noqa: ASYNC110
            await asyncio.sleep(0)  # a full inbox is emptied in the tick that is due

    async def _refresh(self, device: Device, frame: Frame) -> None:
        """Takes a newer token of the same user for this connection."""
        try:
            principal = await self._services.keyring.verify_async(frame.data.token)
            if principal.key != device.principal.key:
                raise AnmeiError(ErrorCode.FORBIDDEN, "the token is another user's")
            if self._named is not None:
                self.place(principal, self._named)  # it may have fewer roles than the one before
        except AnmeiError as error:
            self._answer_error(device, frame.id, error)
            return
        device.principal = principal
        device.expiry_told = False
        refreshed(device, frame.id)

    def _slow_down(self, device: Device, data: bytes, cost: int, wait: float) -> None:
        self._limited += cost
        rate = self._services.settings.limit_frames_per_second
        if self._limited > self._services.settings.limit_frames_burst:
            device.close(CloseCode.RATE_LIMITED, f"far more than {rate} frames a second", 5_000)
            return
        error = AnmeiError(
            ErrorCode.RATE_LIMITED,
            f"{rate} frames a second are allowed; one of more than {TOKEN_BYTES} bytes counts as "
            f"one for each {TOKEN_BYTES}",
            retry_after_ms=max(1, int(wait * 1000)),
        )
        self._answer_error(device, read_id(data), error)

    def _answer_error(self, device: Device, frame_id: str | None, error: AnmeiError) -> None:
        self._services.counters.errors[error.code.code] += 1
        device.push_now(Event(encode_error(frame_id, error)))

    def _turn_away(self, error: AnmeiError) -> None:
        """Ends the connection of somebody who may not come in, or not like this."""
        self._services.counters.errors[error.code.code] += 1
        if error.code is ErrorCode.UNAVAILABLE:
            self.send_away(CloseCode.OVERLOADED, error.message, RETRY_AFTER_MS)
        elif error.code in (ErrorCode.UNAUTHORIZED, ErrorCode.BAD_REQUEST):
            code = (
                CloseCode.UNAUTHORIZED
                if error.code is ErrorCode.UNAUTHORIZED
                else CloseCode.PROTOCOL_ERROR
            )
            self.send_away(code, error.message)
        else:
            self.send_away(CloseCode.FORBIDDEN, error.message)

    def _no_stranger(self) -> None:
        self._services.router.strangers.discard(self)
        if self._stranger_timer is not None:
            self._stranger_timer.cancel()
            self._stranger_timer = None

    def _argument(self, name: str) -> str | None:
        try:
            return self.get_query_argument(name, None)
        except HTTPError:
            raise AnmeiError(ErrorCode.BAD_REQUEST, f"{name}: not UTF-8") from None


class InboxSocket(ChatSocket):
    """The door to one user's inbox: his own, or, for an admin, anybody's of the tenant."""

    def place(self, principal: Principal, id: str) -> str:
        if not is_id(id) or (id != principal.user_id and not principal.is_admin):
            raise not_found("inbox")
        return inbox_key(make_key(principal.tenant, id))


def _farewell(code: int, reason: str, retry_after_ms: int | None = None) -> bytes:
    """The `disconnect` event of a connection that never became, or no longer is, a device."""
    data = {
        "code": int(code),
        "reason": reason,
        "reconnect": code >= CloseCode.OVERLOADED,
        "retry_after_ms": retry_after_ms,
    }
    return Event.of("disconnect", data).frame
