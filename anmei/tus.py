"""The headers of tus, version 1.0, a protocol of resumable uploads."""

import base64
import hashlib
from typing import Any

from anmei.errors import AnmeiError, ErrorCode

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,checksum,expiration"
BODY_TYPE = "application/offset+octet-stream"
CHECKSUMS = ("sha1", "sha256", "sha512", "md5")

MAX_METADATA_BYTES = 8_192
MAX_NUMBER = 2**63 - 1


def number(name: str, given: str | None) -> int:
    """A header that must be a whole number, 0 or more. Raises AnmeiError."""
    if given is None or not (given.isascii() and given.isdigit()) or len(given) > 40:
        got = "none" if given is None else ascii(given[:64])
        raise _bad(f"{name}: expected a whole number of bytes, 0 or more, got {got}")
    return int(given)


def metadata(given: str | None) -> dict[str, str]:
    """The pairs of an `Upload-Metadata` header. Raises AnmeiError."""
    if not given:
        return {}
    if len(given) > MAX_METADATA_BYTES or not given.isascii() or not given.isprintable():
        raise _bad(
            f"Upload-Metadata: expected at most {MAX_METADATA_BYTES} visible ASCII characters"
        )
    pairs = {}
    for part in given.split(","):
        key, _, value = part.strip().partition(" ")
        if not key or key in pairs:
            raise _bad("Upload-Metadata: expected pairs `key base64`, each key once")
        pairs[key] = _decode("Upload-Metadata", value.strip()).decode("utf-8", "replace")
    return pairs


class Checksum:
    """What a client says that a piece hashes to, and what it does."""

    def __init__(self, given: str) -> None:
        """Raises AnmeiError for a header that is none, or names another algorithm."""
        algorithm, _, value = given.strip().partition(" ")
        if algorithm not in CHECKSUMS:
            raise _bad(
                f"Upload-Checksum: expected one of {', '.join(CHECKSUMS)}, a space and the base64"
                f" of the hash, got {ascii(given[:64])}"
            )
        self._wanted = _decode("Upload-Checksum", value.strip())
        self._hash: Any = hashlib.new(algorithm, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    @property
    def holds(self) -> bool:
        return bool(self._hash.digest() == self._wanted)


def _decode(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise _bad(f"{name}: expected base64, got {ascii(value[:64])}") from None


def _bad(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, message)
