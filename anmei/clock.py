"""Times on the wire and in the store.

Stored and compared as whole milliseconds since 1970 (UTC); written as `2026-01-02T03:04:05.678Z`.
"""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def now_ms() -> int:
    """Milliseconds since 1970, from the wall clock: for stamps, never for measuring a wait."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=64)
def _to_second(second: int) -> str:
    # Nearly every stamp of a second is for that second, and strftime costs more than the rest
    # of a small frame.
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def to_wire(ms: int) -> str:
    """`ms` as the wire writes it."""
    second, rest = divmod(ms, 1000)
    return f"{_to_second(second)}.{rest:03d}Z"


def from_wire(text: str) -> int:
    """The milliseconds of a time that `to_wire` wrote. Raises ValueError for any other text."""
    moment = datetime.fromisoformat(text)
    ms = (moment.replace(tzinfo=UTC) - _BEGIN) // _MS
    if to_wire(ms) != text:
        raise ValueError(f"{ascii(text[:64])} is no time such as 2026-01-02T03:04:05.678Z")
    return ms
