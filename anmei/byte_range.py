"""The `Range` header, as far as it is heeded: one part of a file, in bytes."""

import re

_RANGE = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))\s*", re.ASCII)


class Unsatisfiable(Exception):
    """The file has no such part."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Where the wanted part begins, and where what is behind it does; None for the whole file, as
    for several parts and for what is no range. Raises Unsatisfiable."""
    match = _RANGE.fullmatch(header or "")
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), size if last is None else min(int(last) + 1, size)
        if last is not None and int(last) < int(first):
            return None
    if start >= end:
        raise Unsatisfiable
    return start, end
