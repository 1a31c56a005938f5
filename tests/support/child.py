"""A program that a test runs: started, read line by line, and gone at the end."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


class ChildFailed(AssertionError):
    """A program ended, or stayed silent, where a test waited for a line; the text has its log."""


class Child:
    """One run of a program; stdout and stderr together are its `log`.

    A thread reads the lines, so the program never stalls on a full pipe and a test waits for a
    line instead of for a time.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        self.name = Path(argv[0]).name
        as_user = {} if uid is None else {"user": uid, "group": gid, "extra_groups": []}
        # A session of its own: Ctrl-C reaches the tests alone, which then stop it in order.
        self._process = subprocess.Popen(
            [str(part) for part in argv],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
            **as_user,
        )
        self.pid = self._process.pid
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, name=f"log of {self.name}", daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        with self._news:
            return "".join(self._lines)

    @property
    def lines(self) -> list[str]:
        return self.log.splitlines()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def wait_for_line(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        """The first line, already written or still to come, in which `pattern` is found."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if match := re.search(pattern, line):
                        return match
                seen = len(self._lines)
                if self._ended:
                    raise ChildFailed(
                        f"{self.name} ended before it wrote {pattern!r}:\n{''.join(self._lines)}"
                    )
                if not self._news.wait(deadline - time.monotonic()):
                    raise ChildFailed(
                        f"{self.name} did not write {pattern!r} in {timeout} s:\n"
                        + "".join(self._lines)
                    )

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens where it has ended already."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP); its sockets stay open and silent."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def wait(self, timeout: float = 60) -> int:
        """The exit status (negative: the signal), when it has ended and its log is complete."""
        status = self._process.wait(timeout)
        self._reader.join(timeout)
        return status

    def terminate(self, timeout: float = 60) -> int:
        """SIGTERM, and the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill9(self) -> None:
        """SIGKILL to it and to whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def close(self, timeout: float = 30) -> None:
        """End it by whatever means, and leave nothing behind."""
        if self.running:
            self.thaw()
            try:
                self.terminate(timeout)
            except subprocess.TimeoutExpired:
                self.kill9()
        self._reader.join(30)
        with contextlib.suppress(OSError):
            self._process.stdout.close()

    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE

    def cpu(self) -> float:
        """User and system time in seconds since it started."""
        # The name of the program stands in parentheses and may itself hold spaces.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def open_files(self) -> int:
        """How many file descriptors it holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _read(self) -> None:
        with contextlib.suppress(ValueError):
            for line in self._process.stdout:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
