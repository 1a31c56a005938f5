"""What is going on, on standard error: one line that is rewritten on a terminal, else a plain
line from time to time."""

import sys
import time

PLAIN_EVERY = 10.0
TERMINAL_EVERY = 0.1


class Progress:
    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._every = TERMINAL_EVERY if self._terminal else PLAIN_EVERY
        self._task = ""
        self._next = 0.0

    def begin(self, task: str) -> None:
        """Name what begins now; always shown."""
        self._task = task
        self._next = time.monotonic() + self._every
        self._write(task)

    def show(self, text: str) -> None:
        """How far it is; shown if the last line is old enough."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every
            self._write(f"{self._task}: {text}")

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")

    def _write(self, line: str) -> None:
        sys.stderr.write(f"\r\x1b[K{line[:118]}" if self._terminal else f"{line}\n")
        sys.stderr.flush()
