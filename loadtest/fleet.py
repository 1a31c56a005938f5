"""The servers that can be measured, by name, and a swarm that fits each."""

import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from loadtest import tokens
from loadtest.api import Api
from loadtest.dialects import Anmei, Dialect, PlainWebSocket, SocketIO, Tornado
from loadtest.server import ROOT, Server, ServerError

PEERS = ROOT / "loadtest" / "peers"
NAMES = ("anmei", "socketio", "ws", "python-socketio", "tornado")

TITLES = {
    "anmei": "Anmei",
    "socketio": "Node socket.io",
    "ws": "Node ws",
    "python-socketio": "python-socketio on uvicorn",
    "tornado": "Tornado, write_message in a loop",
}


class Product:
    """This server, with a fresh store, and the keys to it."""

    def __init__(self, server: Server, secret: str):
        self.server = server
        self.secret = secret
        self.api = Api(server.port, tokens.make(secret, "loadtest", "service", "admin"))

    def populate(
        self, conversations: int, members: int, resume: bool = False, prefix: str = ""
    ) -> Anmei:
        """Create users and conversations, whose ids begin with `prefix`; device i belongs to
        conversation i % conversations."""
        users = [f"{prefix}u{index}" for index in range(conversations * members)]
        ids = []
        for index in range(conversations):
            own = users[index::conversations]
            ids.append(self.api.create_conversation(f"{prefix}c{index}", own[0], own[1:]))
        return Anmei([tokens.make(self.secret, user, "user") for user in users], ids, resume)


@contextmanager
def product(database_url: str = "", **settings: object) -> Iterator[Product]:
    """This server running, on SQLite in a folder of its own unless another database is named."""
    python = ROOT / ".venv" / "bin" / "python"
    secret = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="anmei-load-") as folder:
        environment = {
            "ANMEI_DATA_DIR": folder,
            "DATABASE_URL": database_url,
            "JWT_SECRET": secret,
            "ANMEI_LIMIT_FRAMES_PER_SECOND": "0",
            "ANMEI_LOG_LEVEL": "warning",
        } | {name: str(value) for name, value in settings.items()}
        command = [str(python) if python.exists() else sys.executable, "run.py", "--port", "{port}"]
        with Server(command, "Anmei is at", environment) as server:
            yield Product(server, secret)


@contextmanager
def running(name: str, devices: int, room: int = 0) -> Iterator[tuple[Server, Dialect]]:
    """The named server, ready for this many devices.

    On this server they are in conversations of `room` members, or all in one; on the peers there
    is one room.
    """
    if name == "anmei":
        with product() as anmei:
            members = room or devices
            yield anmei.server, anmei.populate(-(-devices // members), members)
        return
    command, dialect = {
        "socketio": (["node", "socketio_server.js"], SocketIO()),
        "ws": (["node", "ws_server.js"], PlainWebSocket()),
        "python-socketio": (
            [str(PEERS / ".venv/bin/python"), "python_socketio_server.py"],
            SocketIO(),
        ),
        "tornado": ([str(PEERS / ".venv/bin/python"), "tornado_server.py"], Tornado()),
    }[name]
    if not (PEERS / "node_modules").exists() or not (PEERS / ".venv").exists():
        raise ServerError("the peers are not installed: run `make peers`")
    command = [command[0], str(PEERS / command[1]), "{port}"]
    with Server(command, "listening at", {"NODE_ENV": "production"}) as server:
        yield server, dialect
