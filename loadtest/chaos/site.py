"""What is put under stress: some nodes, and what they depend on, each reached through a proxy of
its own so that one node alone can be cut off. Or a deployment of somebody else's, of which nothing
but its URLs is known."""

import asyncio
import contextlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.request import urlopen

from loadtest import postgres, tokens
from loadtest.api import Api
from loadtest.chaos.proxy import Proxy
from loadtest.chaos.redis import Redis
from loadtest.server import ROOT, ServerError, free_port

START_SECONDS = 60
DRAIN_MS = 5_000
TOKEN_SECONDS = 24 * 3600


class Node:
    """One process of the server, on a port that stays."""

    def __init__(self, number: int, environment: dict[str, str], log: IO[bytes]) -> None:
        self.number = number
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it serves. Where it ends at once, as with a database that is
        not there yet, it is started again, as a process manager would. Raises ServerError."""
        python = ROOT / ".venv" / "bin" / "python"
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                if self._process is not None:
                    time.sleep(0.3)
                self._process = subprocess.Popen(
                    [python if python.exists() else sys.executable, "run.py", "serve"]
                    + ["--port", str(self.port)],
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                )
            if time.monotonic() > deadline:
                raise ServerError(f"node {self.number} did not start in {START_SECONDS} s")
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def drain(self) -> None:
        """As an operator stops it. Raises ServerError where it does not end in order."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(DRAIN_MS / 1000 + 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerError(f"node {self.number} did not end in its time") from None
        # 1: something hung for longer than the time a drain has, as it may without a database.
        if status not in (0, 1):
            raise ServerError(f"node {self.number} ended with status {status} when drained")

    def close(self) -> None:
        self.signal(signal.SIGCONT)
        self.kill()
        self._log.close()

    def _answers(self) -> bool:
        if self._process is None:
            return False
        with contextlib.suppress(OSError), urlopen(f"{self.url}/healthz", timeout=2):
            return True
        return False


class Site:
    """Nodes, PostgreSQL, and with more than one node Redis."""

    def __init__(self, nodes: int, folder: Path) -> None:
        """The nodes' logs go to `folder`."""
        self.secret = secrets.token_hex(32)
        self.folder = Path(tempfile.mkdtemp(prefix="anmei-chaos-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.postgres = postgres.Cluster()
        self.redis = Redis() if nodes > 1 else None
        self.nodes: list[Node] = []
        #: By node: what stands between it and PostgreSQL, and it and Redis.
        self.postgres_links: list[Proxy] = []
        self.redis_links: list[Proxy] = []
        for number in range(nodes):
            # The socket's name is PostgreSQL's own: a URL names its folder alone.
            place = self.folder / str(number + 1)
            place.mkdir()
            server = self.postgres.folder / ".s.PGSQL.5432"
            self.postgres_links.append(Proxy(place / server.name, server))
            environment = {
                "PATH": "/usr/bin:/bin",
                "PYTHONUNBUFFERED": "1",
                "ANMEI_DATA_DIR": str(place),
                "ANMEI_DRAIN_TIMEOUT": str(DRAIN_MS),
                "ANMEI_LOG_LEVEL": "info",
                "JWT_SECRET": self.secret,
                "DATABASE_URL": self.postgres.url(place),
            }
            if self.redis is not None:
                self.redis_links.append(Proxy(place / "redis.sock", self.redis.socket))
                environment["REDIS_URL"] = f"unix://{place / 'redis.sock'}"
            log = open(folder / f"node{number + 1}.log", "wb")  # noqa: SIM115 -- closed by the node
            self.nodes.append(Node(number + 1, environment, log))

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    @property
    def admin(self) -> str:
        """A token that may do everything."""
        return tokens.make(self.secret, "chaos", "service", "admin")

    async def start(self) -> None:
        await asyncio.to_thread(self.postgres.start)
        if self.redis is not None:
            await asyncio.to_thread(self.redis.start)
        for link in self.postgres_links + self.redis_links:
            await link.start()
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in self.nodes))

    async def close(self) -> None:
        # Without a pause, in which it could be cancelled, and whatever fails: a process that is
        # left behind runs for ever.
        with contextlib.ExitStack() as last:
            last.callback(shutil.rmtree, self.folder, ignore_errors=True)
            last.callback(self.postgres.close)
            if self.redis is not None:
                last.callback(self.redis.close)
            for node in self.nodes:
                last.callback(node.close)
        for link in self.postgres_links + self.redis_links:
            await link.close()


def populate(url: str, admin: str, rooms: dict[str, list[str]]) -> None:
    """Makes the conversations, each with its members, the first of whom owns it."""
    api = Api(url, admin)
    for room, members in rooms.items():
        api.create_conversation(room, members[0], members[1:])


def tokens_from(url: str, admin: str, users: list[str]) -> dict[str, str]:
    """A token for each user, made by the server."""
    api = Api(url, admin)
    return {user: api.token(user, TOKEN_SECONDS) for user in users}
