"""How far a long command is: a bar on a terminal, a line now and then anywhere else."""

import time
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

EVERY = 5.0  # seconds between two lines


class Progress:
    """Counts up to `total`, on `stream`; for a `with` block."""

    def __init__(self, what: str, total: int, stream: TextIO) -> None:
        self._what = what
        self._total = total
        self._stream = stream
        self._done = 0
        self._told_at = time.monotonic()
        # None: only where the stream is a terminal.
        self._bar = tqdm(total=total, desc=what, unit=" lines", file=stream, disable=None)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def add(self, count: int) -> None:
        """`count` more are done."""
        self._done += count
        self._bar.update(count)
        now = time.monotonic()
        if self._bar.disable and now - self._told_at >= EVERY:
            self._told_at = now
            print(f"{self._what}: {self._done} of {self._total} lines", file=self._stream)
