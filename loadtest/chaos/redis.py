"""A private Redis on a unix socket that keeps nothing on disk, and a few words with it."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from loadtest.server import ServerError

START_SECONDS = 10


class Redis:
    """A server that can be killed and started again, empty."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise ServerError("redis-server is missing: apt-get install redis-server")
        self._program = program
        self.folder = Path(tempfile.mkdtemp(prefix="anmei-redis-", dir="/tmp"))
        self.socket = self.folder / "redis.sock"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers. Raises ServerError."""
        self._server = subprocess.Popen(
            [self._program, "--port", "0", "--unixsocket", str(self.socket)]
            + ["--save", "", "--appendonly", "no", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.say("PING"):
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise ServerError("Redis did not start")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Of the server that was started last."""
        assert self._server is not None
        return self._server.pid

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        self.socket.unlink(missing_ok=True)

    def say(self, *words: str) -> bytes:
        """One command, and the beginning of its answer; empty where there is nobody."""
        command = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
            link.settimeout(2)
            link.connect(str(self.socket))
            link.sendall(command.encode())
            return link.recv(4096)
        return b""

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
