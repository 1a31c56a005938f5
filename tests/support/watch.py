"""What watches a test's event loop and log, and says what was wrong with them."""

import asyncio
import logging
import os
import re
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

#: How long, in seconds, one step on the loop may take; a slow or busy machine may say more.
LOOP_LAG = float(os.environ.get("TEST_LOOP_LAG", "1"))
BEAT = 0.05

#: Support code in which a test waits for another program: slow, and no fault of the product.
PATIENT = {
    str(Path(__file__).with_name(f"{name}.py"))
    for name in ("child", "proxy", "s3", "servers", "tables")
}


class LoopWatch:
    """Notices when the loop stood still for longer than `limit` seconds, and where it stood.

    A callback on the loop beats; a thread looks at the beats. The thread sees the stack while the
    loop is blocked; the beat sees a block in C code that kept the thread from looking. Not counted
    are the time in which a busy machine let neither of them run, or not the loop, which waited for
    a processor, and a test's own wait for a program that it starts or stops.
    """

    def __init__(self, limit: float = LOOP_LAG) -> None:
        self.limit = limit
        self.findings: list[str] = []
        self._due = 0.0
        self._loop_thread: int | None = None
        self._stack: str | None = None
        self._waits = False
        self._starved = 0.0
        self._used = 0.0
        self._queued = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="loop watch", daemon=True)
        self._thread.start()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop begins to run, in this thread."""
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._expect_beat()

    def pause(self) -> None:
        """The loop no longer runs; what happens now is not its business."""
        # A last step that blocked was not followed by a beat.
        self._judge()
        self._loop_thread = None
        self._handle.cancel()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _expect_beat(self) -> None:
        self._stack, self._waits, self._starved = None, False, 0.0
        self._used, self._queued = time.thread_time(), _queued()
        self._due = time.monotonic() + BEAT
        self._handle = self._loop.call_later(BEAT, self._beat)

    def _beat(self) -> None:
        self._judge()
        self._expect_beat()

    def _judge(self) -> None:
        late = time.monotonic() - self._due
        # Starved or not, what this thread itself has computed since the last beat was its own.
        starved = max(self._starved, _queued() - self._queued)
        own = max(late - starved, time.thread_time() - self._used)
        if min(late, own) > self.limit and not self._waits:
            where = self._stack or "in code that held the interpreter's lock all the while"
            self.findings.append(f"the event loop was blocked for {late:.2f} s:\n{where}")

    def _look(self) -> None:
        while True:
            before, used = time.monotonic(), time.process_time()
            if self._over.wait(BEAT):
                return
            late = time.monotonic() - before - BEAT
            # Late without having computed: others had the processor.
            if time.process_time() - used < late / 2:
                self._starved += late
            ident = self._loop_thread
            if ident is not None and time.monotonic() - self._due > self.limit / 2:
                self._take_stack(sys._current_frames().get(ident))

    def _take_stack(self, frame: FrameType | None) -> None:
        if frame is not None:
            self._stack = "".join(traceback.format_stack(frame)[-12:])
        while frame is not None:
            self._waits |= frame.f_code.co_filename in PATIENT
            frame = frame.f_back


def _queued() -> float:
    """How long this thread has waited for a processor since it began, in seconds, as far as the
    kernel says."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


class WatchedLoop(asyncio.SelectorEventLoop):
    """An event loop that tells its watch when it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = LoopWatch()

    def run_forever(self) -> None:
        self.watch.begin(self)
        try:
            super().run_forever()
        finally:
            self.watch.pause()

    def close(self) -> None:
        super().close()
        self.watch.close()


class LogWatch(logging.Handler):
    """Collects what is logged at WARNING or above, and knows what a test expected.

    Every expected line must come, or the expectation has outlived what it was written for.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[tuple[str, str]] = []
        self._expected: list[tuple[re.Pattern[str], str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname} {record.name}: {record.getMessage()}"
        details = f"\n{self._formatter.formatException(record.exc_info)}" if record.exc_info else ""
        self._lines.append((line, line + details))

    _formatter = logging.Formatter()

    def expect(self, pattern: str) -> None:
        """At least one line in which `pattern` is found will come during this test."""
        self._expected.append((re.compile(pattern), pattern))

    def findings(self) -> list[str]:
        """What came unexpected, and what was expected and did not come."""
        unexpected = [
            f"unexpected log line: {full}"
            for line, full in self._lines
            if not any(pattern.search(line) for pattern, _ in self._expected)
        ]
        missing = [
            f"expected a log line with {text!r}, and none came"
            for pattern, text in self._expected
            if not any(pattern.search(line) for line, _ in self._lines)
        ]
        return unexpected + missing
