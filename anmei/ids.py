"""Identifiers: which are allowed, how ours are made, and the keys used inside.

Outside, an id is unique within its tenant. Inside, everything speaks of *keys*, `tenant/id`, so
that nothing can cross tenants by forgetting to compare two values: two tenants never share a key.
"""

import os
import re
import time

# The end is `$(?!\n)` since `$` alone also matches before a final line break in Python; written so,
# the patterns mean the same to Python and to the readers of JSON Schema.

#: What ids of users, conversations, tenants and devices may look like. Nothing in it has a
#: meaning in a Redis key or pattern, a URL path, a header or a log line, and `/` is left to keys.
ID_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,127}$(?!\n)"

#: Whom a message mentions: a user, or everybody, by a word that is no id.
EVERYBODY = "@all"
MENTION_PATTERN = r"^(?:@all|[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,127})$(?!\n)"

#: What a client may choose as `client_msg_id`, or send as `Idempotency-Key`: visible ASCII.
CLIENT_ID_PATTERN = r"^[\x21-\x7e]{1,255}$(?!\n)"

#: The same in words, for whoever sent another one.
ID_WORDS = "1 to 128 of A-Z a-z 0-9 _ . @ + -, the first a letter, a digit or _"
MENTION_WORDS = f"{EVERYBODY}, or {ID_WORDS}"
CLIENT_ID_WORDS = "1 to 255 visible ASCII characters"

_ID = re.compile(ID_PATTERN)
_CLIENT_ID = re.compile(CLIENT_ID_PATTERN)
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
#: Two digits at a time take half as long, and every message has an id.
_PAIRS = [high + low for high in _CROCKFORD for low in _CROCKFORD]
_SHIFTS = range(120, -10, -10)


def is_id(value: object) -> bool:
    """Whether `value` may serve as an id of a user, conversation, tenant or device."""
    return isinstance(value, str) and _ID.match(value) is not None


def is_client_id(value: object) -> bool:
    """Whether `value` may serve as `client_msg_id` or `Idempotency-Key`."""
    return isinstance(value, str) and _CLIENT_ID.match(value) is not None


def make_key(tenant: str, id: str) -> str:
    """The key of `id` in `tenant`; both must have passed `is_id`."""
    return f"{tenant}/{id}"


def tenant_of(key: str) -> str:
    return key[: key.index("/")]


def id_of(key: str) -> str:
    return key[key.index("/") + 1 :]


def new_id(prefix: str) -> str:
    """A new unguessable id, `prefix_` and 26 characters; ids made later sort later (by ms).

    48 bits of time and 80 random bits, written in Crockford's base 32 as ULIDs are.
    """
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    return prefix + "_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
