"""A server under test: another process, with a port of its own and an end."""

import os
import queue
import random
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO

from loadtest.process import Cost

#: Below the range from which the kernel takes ports for outgoing connections.
PORTS = range(20_000, 32_000)
ROOT = Path(__file__).resolve().parent.parent


class ServerError(Exception):
    """The server did not start, or ended by itself; the text holds what it said last."""


class Server:
    """A child process that prints a line when it is ready. Use it as a context manager."""

    def __init__(self, command: list[str], announces: str, environment: dict[str, str]):
        """`command` may contain `{port}`; `announces` stands in the line that says it is ready."""
        self.port = free_port()
        self._command = command
        self._announces = announces
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.cost = Cost(0)

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self, timeout: float = 30.0) -> None:
        """Start it, and wait until it says that it is ready. Raises ServerError."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in stop
        self._process = subprocess.Popen(
            [part.format(port=self.port) for part in self._command],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(
            target=_read_lines, args=(self._process.stdout, lines), daemon=True
        ).start()
        try:
            while self._announces not in (line := lines.get(timeout=timeout)).decode():
                if not line:
                    raise ServerError(f"{self._command[-2:]} ended: {self._last_words()}")
        except queue.Empty:
            said = self._last_words()
            self.stop()
            raise ServerError(f"{self._command} was not ready in {timeout:.0f} s: {said}") from None
        self.cost = Cost(self._process.pid)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL, 10)

    def stop(self) -> None:
        """End it; by force where it takes longer than 3 s, since nothing depends on it any more."""
        self._end(signal.SIGTERM, 3)

    def _end(self, number: signal.Signals, timeout: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._log is not None:
            self._log.close()

    def _last_words(self) -> str:
        assert self._log is not None
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace").strip() or "it said nothing"


def free_port() -> int:
    """A port that nobody listens on."""
    for port in random.sample(PORTS, 50):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError(f"no free port in {PORTS}")


def _read_lines(stream: IO[bytes], lines: "queue.SimpleQueue[bytes]") -> None:
    """Read to the end, so that a server that prints never waits; an empty line is the end."""
    for line in stream:
        lines.put(line)
    lines.put(b"")
    stream.close()
