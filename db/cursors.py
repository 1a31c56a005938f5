"""Where a page ends: opaque to clients, who hand it back for the next one."""

import base64
import binascii

import msgspec

from anmei.errors import AnmeiError, ErrorCode


def to_cursor(*place: int | str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def from_cursor(cursor: str, shape: type[tuple[int | str, ...]]) -> tuple[int | str, ...]:
    """The place, a tuple of the types in `shape`. Raises AnmeiError(BAD_REQUEST)."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(text, type=shape)
        for value in place:
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError
            if isinstance(value, str) and "\0" in value:
                raise ValueError
    except (ValueError, binascii.Error):
        raise AnmeiError(
            ErrorCode.BAD_REQUEST, "cursor: expected a `next_cursor` of an earlier answer"
        ) from None
    return place
