"""Messages that an application's own backend publishes: read, checked, and turned into envelopes.

Published to `ws:broadcast` (everybody of a tenant) or `user:{user_id}:messages` (one user), as JSON

    {"body": "<JSON text>", "hmac": "<64 hexadecimal digits>"}

where `hmac` is the HMAC-SHA256 over the UTF-8 bytes of `body` exactly as it stands there, with the
key HMAC-SHA256(secret, "anmei outside 1"), and `body` is the text of

    {"channel", "id", "sent_at", "type", "data", "tenant"?}

`channel` repeats the channel's name, `id` is unique and `sent_at` is in ms since 1970: so what was
published once can neither be sent to somebody else nor sent again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from anmei.clock import now_ms
from anmei.codec import encode
from anmei.envelope import MAX_BYTES, BadPacket, Signer
from anmei.ids import ID_PATTERN, is_id, make_key

BROADCAST: Final = "ws:broadcast"
USER_PATTERN: Final = "user:*:messages"
LABEL: Final = b"anmei outside 1"
WINDOW_MS: Final = 300_000  # how old, or how far ahead of our clock, a message may be
MOST_REMEMBERED: Final = 100_000  # ids of one window that are told apart

#: Types that clients take as the server's own word on what is stored or on their connection.
RESERVED: Final = frozenset(
    {"ack", "error", "pong", "connection_established", "disconnect", "token_expiring"}
    | {"sync_complete", "new_message", "message_updated", "conversation_updated"}
    | {"notification_updated", "notification_removed", "inbox_read"}
    | {"message_status_update", "unread_update", "unread_totals", "preference_update"}
)


class _Signed(msgspec.Struct):
    body: str
    hmac: Annotated[str, Meta(min_length=64, max_length=64)]


class _Body(msgspec.Struct):
    channel: str
    id: Annotated[str, Meta(min_length=1, max_length=128)]
    sent_at: int
    type: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
    data: dict[str, Any]
    tenant: Annotated[str, Meta(pattern=ID_PATTERN)] = "default"


_signed = msgspec.json.Decoder(_Signed)
_body = msgspec.json.Decoder(_Body)


class Outside:
    """Reads what came on one of the two channels."""

    def __init__(self, secrets: Iterable[str], clock: Callable[[], int] = now_ms) -> None:
        self._signer = Signer(secrets, LABEL)
        self._clock = clock
        #: The ids of the last window, oldest first, and until when each is remembered.
        self._seen: OrderedDict[str, int] = OrderedDict()

    def read(self, channel: str, data: bytes) -> dict[str, Any]:
        """The envelope for this node's own devices: `users` or `tenant`. Raises BadPacket, and
        nothing else, whatever came."""
        if len(data) > MAX_BYTES:
            raise BadPacket(f"{len(data)} bytes; at most {MAX_BYTES} are allowed")
        try:
            signed = _signed.decode(data)
            text = signed.body.encode()
            if not self._signer.holds(text, signed.hmac.encode()):
                raise BadPacket("the HMAC does not hold")
            body = _body.decode(text)
            encode(body.data)
        except (ValueError, RecursionError, OverflowError) as error:
            raise BadPacket(f'expected {{"body", "hmac"}}: {error}') from None
        if body.channel != channel:
            raise BadPacket("`channel` is another one than it was published to")
        if body.type in RESERVED:
            raise BadPacket(f"the type {body.type} is the server's own")
        self._check_new(body)
        event = {"type": body.type, "data": body.data}
        if channel == BROADCAST:
            return {"kind": "tenant", "tenant": body.tenant, **event}
        user_id = channel.removeprefix("user:").removesuffix(":messages")
        if not is_id(user_id):
            raise BadPacket("the channel does not name a user id")
        return {"kind": "users", "users": [make_key(body.tenant, user_id)], **event}

    def _check_new(self, body: _Body) -> None:
        now = self._clock()
        if abs(now - body.sent_at) > WINDOW_MS:
            raise BadPacket(f"`sent_at` is more than {WINDOW_MS // 1000} s off this node's clock")
        while self._seen and next(iter(self._seen.values())) < now:
            self._seen.popitem(last=False)
        if body.id in self._seen:
            raise BadPacket("its `id` came before")
        if len(self._seen) >= MOST_REMEMBERED:
            raise BadPacket(f"more than {MOST_REMEMBERED} messages of backends in five minutes")
        # Twice the window: one that is ahead of our clock stays acceptable for that long.
        self._seen[body.id] = now + 2 * WINDOW_MS
