"""Bytes to frames and events to bytes.

msgspec reads what strangers send: it is strict about types, NaN, lone surrogates and numbers. ujson
writes what goes out, once per event. ujson never parses a client's bytes.
"""

from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import ujson
from msgspec import Meta

from anmei.clock import now_ms, to_wire
from anmei.errors import AnmeiError, BadFrame, ErrorCode
from anmei.frames import PAYLOADS, Frame, SendMessage
from anmei.ids import (
    CLIENT_ID_PATTERN,
    CLIENT_ID_WORDS,
    ID_PATTERN,
    ID_WORDS,
    MENTION_PATTERN,
    MENTION_WORDS,
)

MAX_TYPE_LENGTH = 64
MAX_FRAME_ID_LENGTH = 128
MAX_PING_BYTES = 1_024
MAX_METADATA_BYTES = 8_192
MAX_METADATA_DEPTH = 8
MAX_BODY_BYTES = 16_384


class _Envelope(msgspec.Struct):
    """The outside of a frame; the inside stays bytes until its type is known."""

    type: Annotated[str, Meta(max_length=MAX_TYPE_LENGTH)]
    id: Annotated[str, Meta(max_length=MAX_FRAME_ID_LENGTH)] | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


_envelope = msgspec.json.Decoder(_Envelope)
_payloads = {name: msgspec.json.Decoder(struct) for name, struct in PAYLOADS.items()}
#: What msgspec says of a text that does not match, and what we say in its place.
_WORDS = (
    (f"`str` matching regex {ID_PATTERN!r}", ID_WORDS),
    (f"`str` matching regex {CLIENT_ID_PATTERN!r}", CLIENT_ID_WORDS),
    (f"`str` matching regex {MENTION_PATTERN!r}", MENTION_WORDS),
)
_anything = msgspec.json.Decoder()
_metadata = msgspec.json.Decoder(dict[str, Any] | None)


def decode(data: bytes) -> Frame:
    """The frame in `data`, the UTF-8 bytes of one WebSocket text message.

    Raises BadFrame, and nothing else, whatever the bytes are.
    """
    try:
        envelope = _envelope.decode(data)
    except (ValueError, RecursionError) as error:
        raise BadFrame(
            ErrorCode.BAD_REQUEST,
            f'expected {{"type", "id"?, "data"}}: {explain(error, _Envelope)}',
        ) from None
    decoder = _payloads.get(envelope.type)
    if decoder is None:
        raise BadFrame(
            ErrorCode.UNSUPPORTED,
            f"unknown frame type {printable(envelope.type)}; known are {', '.join(PAYLOADS)}",
            envelope.id,
        )
    try:
        if envelope.type == "ping":
            return Frame(envelope.type, envelope.id, _echo(envelope.data))
        payload = decoder.decode(envelope.data)
        if isinstance(payload, SendMessage):
            check_size("extra_metadata", payload.extra_metadata, MAX_METADATA_BYTES)
            check_size("body", payload.body, MAX_BODY_BYTES)
            # A view would keep the whole frame in memory for as long as this one waits.
            payload.extra_metadata = payload.extra_metadata.copy()
            payload.body = payload.body.copy()
        return Frame(envelope.type, envelope.id, payload)
    except AnmeiError as error:
        raise BadFrame(error.code, f"{envelope.type}: {error.message}", envelope.id) from None
    except (ValueError, RecursionError) as error:
        raise BadFrame(
            ErrorCode.BAD_REQUEST,
            f"{envelope.type}: {explain(error, PAYLOADS[envelope.type])}",
            envelope.id,
        ) from None


def read_id(data: bytes) -> str | None:
    """The id of the frame in `data`, of which nothing else is read; None where it has none, or
    none that can be read."""
    try:
        return _envelope.decode(data).id
    except (ValueError, RecursionError):
        return None


def decode_body(data: bytes, struct: type[Any]) -> Any:
    """An HTTP body as `struct`. Raises AnmeiError(BAD_REQUEST), and nothing else."""
    try:
        return msgspec.json.decode(data or b"{}", type=struct)
    except (ValueError, RecursionError) as error:
        raise AnmeiError(ErrorCode.BAD_REQUEST, f"the body: {explain(error, struct)}") from None


def encode(value: object) -> bytes:
    """`value` as compact JSON in UTF-8; for what we made ourselves."""
    return ujson.dumps(
        value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False
    ).encode()


def encode_event(type: str, data: object) -> bytes:
    """A server event: `{"type", "data", "ts"}`."""
    return encode({"type": type, "data": data, "ts": to_wire(now_ms())})


def encode_pong(frame_id: str | None, data: bytes) -> bytes:
    """The answer to a ping whose data was `data`, JSON already."""
    head = b'{"type":"pong",' if frame_id is None else b'{"type":"pong","id":%b,' % encode(frame_id)
    return b'%b"data":%b,"ts":"%b"}' % (head, data, to_wire(now_ms()).encode())


def encode_ack(frame_id: str, data: object) -> bytes:
    return encode({"type": "ack", "id": frame_id, "data": data})


def encode_error(frame_id: str | None, error: AnmeiError) -> bytes:
    body: dict[str, object] = {"type": "error", "error": error.to_wire()}
    if frame_id is not None:
        body["id"] = frame_id
    return encode(body)


def check_metadata(raw: msgspec.Raw) -> str | None:
    """`extra_metadata` as the JSON text to store, None for `null`. Raises AnmeiError when it is no
    object, too large, too deep, or holds a number that other JSON readers would not keep."""
    check_size("extra_metadata", raw, MAX_METADATA_BYTES)
    try:
        value = _metadata.decode(raw)
    except (ValueError, RecursionError) as error:
        raise AnmeiError(ErrorCode.BAD_REQUEST, f"extra_metadata: {explain(error)}") from None
    if value is None:
        return None
    _check_depth(value, MAX_METADATA_DEPTH)
    text = encode(value)
    check_size("extra_metadata", text, MAX_METADATA_BYTES)
    return text.decode()


def check_size(field: str, text: bytes | msgspec.Raw, most: int) -> None:
    """Raises AnmeiError for JSON of more than `most` bytes."""
    size = len(memoryview(text))
    if size > most:
        raise AnmeiError(
            ErrorCode.TOO_LARGE, f"{field} takes {size} bytes; at most {most} are allowed"
        )


def explain(error: Exception, struct: type[Any] | None = None) -> str:
    """Why something could not be read as `struct`, with what is allowed in words and the place as
    a JSON path."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    text = str(error)
    if text.startswith("Invalid enum value"):
        place = text.rpartition(" - at `$.")[2].removesuffix("`")
        choices = _choices(struct, place)
        if choices:
            return f"Expected one of {', '.join(choices)} - at `$.{place}`"
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    return text


def printable(text: str, length: int = 64) -> str:
    """`text` in quotes, shortened, with everything escaped that could disturb a log or terminal."""
    return ascii(text if len(text) <= length else text[:length] + "…")


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, dict | list):
        if left == 0:
            raise AnmeiError(
                ErrorCode.BAD_REQUEST,
                f"extra_metadata is nested deeper than {MAX_METADATA_DEPTH} levels",
            )
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, left - 1)
    elif isinstance(value, int) and not -(2**53) < value < 2**53:
        raise AnmeiError(
            ErrorCode.BAD_REQUEST, "extra_metadata holds a whole number beyond ±(2^53 - 1)"
        )


def _echo(raw: msgspec.Raw) -> bytes:
    """The data of a ping, checked to be JSON and kept as the bytes that came."""
    echoed = bytes(raw)
    if len(echoed) > MAX_PING_BYTES:
        raise ValueError(f"data of {len(echoed)} bytes; at most {MAX_PING_BYTES} are handed back")
    _anything.decode(echoed)
    return echoed


def _choices(struct: type[Any] | None, field: str) -> tuple[str, ...]:
    """The values that a field of `struct` may have; none where it is no Literal."""
    hint = get_type_hints(struct).get(field) if struct is not None else None
    for one in (hint, *get_args(hint)):
        if get_origin(one) is Literal:
            return get_args(one)
    return ()
