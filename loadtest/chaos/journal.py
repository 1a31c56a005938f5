"""The raw history of a run: one JSON object a line, so that anybody can count again.

Every line has `t` (seconds since the start, of one clock that never jumps), `who` and `what`; the
README says what else stands in which.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

Line = dict[str, Any]


class Journal:
    """Lines as they happen, to a file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._begun = time.monotonic()

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    def note(self, who: str, what: str, **more: object) -> None:
        line = {"t": round(self.now(), 4), "who": who, "what": what, **more}
        self._file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def read(path: Path) -> Iterator[Line]:
    """The lines of a journal."""
    with path.open() as file:
        for text in file:
            yield json.loads(text)
