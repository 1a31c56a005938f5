"""How envelopes travel between nodes: sealed packets of JSON.

One packet carries all envelopes of one loop tick for one channel. It is 64 hexadecimal digits,
the HMAC-SHA256 of what follows, and then JSON text in UTF-8:

    {"from": "node_a", "to": "node_b", "n": 17, "envelopes": [{"kind": …}, …]}

`to` is a node id, or `*` for all nodes; `n` counts the packets of one sender to one `to`, from 1.
Whoever can write to the bus but does not hold the key can forge nothing, and cannot pass a packet
for one node off as one for another.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import ujson

from anmei.codec import encode
from anmei.ids import is_id

#: The longest packet that is read; what is sent is kept well below it.
MAX_BYTES: Final = 1_048_576
#: `to` of what is for all nodes.
ALL: Final = "*"
MAX_NUMBER: Final = 2**53 - 1
MAC_LENGTH: Final = 64

_NODES: Final = b"anmei nodes 1"
_WRAPPING: Final = 512  # more than head and HMAC of a packet take


class BadPacket(Exception):
    """Something came over the bus that none of our nodes has sent; the text says what is wrong."""


class Packet(msgspec.Struct, frozen=True):
    """What one publish carries."""

    sender: str
    #: A node id, or `ALL`.
    to: str
    number: int
    #: Plain JSON objects, each with a text `kind`.
    envelopes: list[dict[str, Any]]


class Signer:
    """Signs with the first secret, accepts all of them, so that secrets can be changed one node
    after the other. Each use has a `label`, and so a key, of its own."""

    def __init__(self, secrets: Iterable[str], label: bytes) -> None:
        """Raises ValueError where there is no secret."""
        self._keys = [
            hmac.new(secret.encode(), label, hashlib.sha256).digest() for secret in secrets
        ]
        if not self._keys:
            raise ValueError("expected one secret at least to sign envelopes with, got none")

    def sign(self, text: bytes) -> bytes:
        """The HMAC of `text` as 64 hexadecimal digits."""
        return hmac.new(self._keys[0], text, hashlib.sha256).hexdigest().encode()

    def holds(self, text: bytes, mac: bytes) -> bool:
        """Whether one of the secrets made `mac` over `text`; compared in constant time."""
        return any(
            hmac.compare_digest(hmac.new(key, text, hashlib.sha256).hexdigest().encode(), mac)
            for key in self._keys
        )


class Seal:
    """Makes packets of encoded envelopes, and opens those of others."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._signer = Signer(secrets, _NODES)

    def close(self, sender: str, to: str, number: int, encoded: Sequence[bytes]) -> bytes:
        """The packet with these envelopes, each JSON in UTF-8 already."""
        text = b'{"from":%b,"to":%b,"n":%d,"envelopes":[%b]}' % (
            encode(sender),
            encode(to),
            number,
            b",".join(encoded),
        )
        return self._signer.sign(text) + text

    def open(self, data: bytes) -> Packet:
        """Raises BadPacket, and nothing else, whatever the bytes are."""
        if len(data) > MAX_BYTES:
            raise BadPacket(f"{len(data)} bytes; at most {MAX_BYTES} are allowed")
        mac, text = data[:MAC_LENGTH], data[MAC_LENGTH:]
        if not self._signer.holds(text, mac):
            raise BadPacket("the HMAC does not hold")
        try:
            # Only what the HMAC vouches for gets here: ujson never reads what strangers wrote.
            return _packet(ujson.loads(text.decode()))
        except (ValueError, RecursionError, OverflowError) as error:
            raise BadPacket(f"not JSON: {error}") from None


def parts(encoded: Sequence[bytes], most: int = MAX_BYTES // 2) -> list[list[bytes]]:
    """`encoded` in pieces of at most about `most` bytes each, order kept. One that is larger than
    that gets a piece of its own."""
    pieces: list[list[bytes]] = []
    room = 0
    for envelope in encoded:
        if not pieces or len(envelope) > room:
            pieces.append([])
            room = most
        pieces[-1].append(envelope)
        room -= len(envelope) + 1
    return pieces


def fits(encoded: bytes) -> bool:
    """Whether an envelope may travel at all."""
    return len(encoded) + _WRAPPING <= MAX_BYTES


def _packet(value: Any) -> Packet:
    if not isinstance(value, dict):
        raise BadPacket("expected a JSON object")
    sender, to, number = value.get("from"), value.get("to"), value.get("n")
    envelopes = value.get("envelopes")
    if not (isinstance(sender, str) and is_id(sender)) or not (
        isinstance(to, str) and (to == ALL or is_id(to))
    ):
        raise BadPacket("`from` and `to` must be node ids")
    if type(number) is not int or not 0 < number <= MAX_NUMBER:
        raise BadPacket(f"`n` must be a whole number from 1 to {MAX_NUMBER}")
    if not isinstance(envelopes, list) or not all(
        isinstance(envelope, dict) and isinstance(envelope.get("kind"), str)
        for envelope in envelopes
    ):
        raise BadPacket("`envelopes` must be a list of objects, each with a text `kind`")
    return Packet(sender, to, number, envelopes)
