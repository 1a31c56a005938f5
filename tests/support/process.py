"""Anmei as a user runs it: `python run.py`, with an environment and a data directory."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.child import Child
from tests.support.ports import free_port
from tests.support.tokens import SECRET, make_token

ROOT = Path(__file__).parents[2]

#: A line that no healthy run writes: a level from WARNING on, as text or as JSON, a traceback, or
#: a complaint of Python itself.
TROUBLE = re.compile(
    r"\b(WARNING|ERROR|CRITICAL)\b"
    r'|"level": ?"(warning|error|critical)"'
    r"|^Traceback|^Exception ignored|\w+Warning:|Task was destroyed"
)


class AnmeiProcess:
    """One node. `start` returns when it serves; `close` fails on a log line that nobody expected.

    The environment is `env` on top of what the tests need and nothing of this process's own, so a
    run does not depend on who started it.
    """

    def __init__(
        self,
        data_dir: Path,
        env: Mapping[str, str] | None = None,
        *,
        args: Iterable[str] = (),
        port: int = 0,
        program: Path = ROOT / "run.py",
    ) -> None:
        self.data_dir = data_dir
        # Not one of the kernel's choice, which somebody else may have while this is down.
        self.port = port or free_port()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(data_dir),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "default",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ANMEI_DATA_DIR": str(data_dir),
            "JWT_SECRET": SECRET,
            **(env or {}),
        }
        self._args = list(args)
        self._program = program
        self._expected: list[re.Pattern[str]] = []
        self._past_log = ""
        self.child: Child | None = None

    def spawn(self) -> None:
        """Start it without waiting: for tests about a start that fails or is disturbed."""
        if self.child is not None:
            self._retire()
        self.child = Child(
            [sys.executable, self._program, "serve", "--host", "127.0.0.1"]
            + ["--port", str(self.port), *self._args],
            env=self.env,
            cwd=self.data_dir,
        )

    def start(self, timeout: float = 60) -> "AnmeiProcess":
        """Start it; returns when it has written where it is."""
        self.spawn()
        address = self.child.wait_for_line(r"Anmei is at http://127\.0\.0\.1:(\d+)", timeout)
        self.port = int(address[1])
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/chat"

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def log(self) -> str:
        """What it wrote, all its lives together."""
        return self._past_log + (self.child.log if self.child is not None else "")

    def token(self, user: str, **kwargs: object) -> str:
        """A token that this node accepts; see `make_token`."""
        return make_token(user, secret=self.env["JWT_SECRET"].split(",")[0], **kwargs)

    def kill9(self) -> None:
        self.child.kill9()

    def terminate(self, timeout: float = 60) -> int:
        """SIGTERM, as an operator stops it; the exit status."""
        return self.child.terminate(timeout)

    def restart(self, timeout: float = 60) -> None:
        """Start it again on the same port, after it was killed, stopped, or by stopping it now."""
        if self.child.running:
            self.terminate()
        self.start(timeout)

    def freeze(self) -> None:
        self.child.freeze()

    def thaw(self) -> None:
        self.child.thaw()

    def rss(self) -> int:
        """Resident memory in bytes."""
        return self.child.rss()

    def cpu(self) -> float:
        """User and system time in seconds since this life began."""
        return self.child.cpu()

    def expects_log(self, pattern: str) -> None:
        """Allow lines in which `pattern` is found to be WARNING or worse."""
        self._expected.append(re.compile(pattern))

    def unexpected_lines(self) -> list[str]:
        """Lines of trouble that no `expects_log` covers."""
        return [
            line
            for line in self.log.splitlines()
            if TROUBLE.search(line) and not any(known.search(line) for known in self._expected)
        ]

    def close(self) -> None:
        """End it, and fail on what it should not have written."""
        if self.child is not None:
            self._retire()
        if lines := self.unexpected_lines():
            raise AssertionError(
                "Anmei wrote what no expects_log covers:\n"
                + "\n".join(lines)
                + f"\n--- the whole log ---\n{self.log}"
            )

    def _retire(self) -> None:
        self.child.close()
        self._past_log += self.child.log
        self.child = None
