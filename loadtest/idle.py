"""Idle: the resident memory that one connected, silent device takes.

A few connections come and go first, so that what is loaded once is not counted; then memory with
all connected, less memory with none, divided by their number. On this server each device is
authenticated and belongs to a user of its own who is in a conversation of ten.
"""

import argparse

from loadtest import fleet
from loadtest.progress import Progress
from loadtest.report import Report, Row
from loadtest.stats import in_turn
from loadtest.swarm import Swarm

WARM_UP_CONNECTIONS = 50
SETTLE_SECONDS = 3.0

COLUMNS = {
    "server": "server",
    "connections": "connections",
    "kb": "KB a connection",
    "resident_mb": "MB with all",
}


def measure(name: str, connections: int, progress: Progress) -> Row:
    """One run against the named server."""
    progress.begin(f"idle, {connections:,} connections: {fleet.TITLES[name]}")
    with fleet.running(name, connections, room=10) as (server, dialect):
        swarm = Swarm(server.port, dialect, progress)
        swarm.open(WARM_UP_CONNECTIONS)
        swarm.rest(0.5)
        swarm.close()
        swarm.rest(SETTLE_SECONDS)
        before = server.cost.resident()
        swarm.open(connections)
        swarm.rest(SETTLE_SECONDS)
        after = server.cost.resident()
        swarm.close()
    return {
        "server": fleet.TITLES[name],
        "connections": connections,
        "kb": (after - before) / connections / 1024,
        "resident_mb": after / 1024 / 1024,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--servers", nargs="+", choices=fleet.NAMES, default=list(fleet.NAMES))
    parser.add_argument("--connections", type=int, default=2_000)
    parser.add_argument("--repeat", type=int, default=1)


def run(options: argparse.Namespace, progress: Progress) -> Report:
    def one(name: str) -> Row:
        return measure(name, options.connections, progress)

    rows = in_turn(options.servers, options.repeat, one)
    title = f"Idle: resident memory of {options.connections:,} silent connections"
    return Report("idle", title, rows, COLUMNS, "kb")
