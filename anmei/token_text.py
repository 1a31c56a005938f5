"""How a token is written: parts of base64url, two of them JSON objects.

Every token has exactly one text. What other readers forgive (padding, line breaks, spare bits, a
name that stands twice) is refused, for then nobody can write one token in two ways, or have two
servers read one token differently.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NoReturn

from anmei.errors import AnmeiError, ErrorCode


def refuse(message: str) -> NoReturn:
    raise AnmeiError(ErrorCode.UNAUTHORIZED, message)


def encode_part(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def decode_part(part: str, what: str) -> bytes:
    """The bytes of `part`, which must be their one base64url text; `what` names it in errors.

    Raises AnmeiError (UNAUTHORIZED).
    """
    try:
        text = part.encode("ascii")
        data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        refuse(f"the token's {what} is not base64url")
    if not data or encode_part(data) != text:
        refuse(f"the token's {what} is not canonical base64url without padding")
    return data


def parse_part(part: str, what: str) -> dict[str, Any]:
    """The JSON object in `part`. Raises AnmeiError (UNAUTHORIZED)."""
    data = decode_part(part, what)
    try:
        # Decoded first: given bytes, the reader would also take UTF-16 and a byte order mark.
        value = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except _Repeated:
        refuse(f"the token's {what}: a name stands twice in one object")
    except (ValueError, RecursionError):
        refuse(f"the token's {what} cannot be read as JSON")
    if not isinstance(value, dict):
        refuse(f"the token's {what} must be a JSON object")
    return value


class _Repeated(ValueError):
    """Readers differ in which of the two values they believe."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Repeated
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
