"""Echo: what one small frame in and one small frame out costs the server.

Every connection has one request under way at any time.
"""

import argparse
import os
import time

from loadtest import fleet
from loadtest.device import Device
from loadtest.dialects import Dialect
from loadtest.process import Cost
from loadtest.progress import Progress
from loadtest.report import Report, Row
from loadtest.stats import in_turn
from loadtest.swarm import Swarm

WARM_UP = 3_000
PATIENCE_SECONDS = 60

COLUMNS = {
    "server": "server",
    "connections": "connections",
    "cpu_us": "server CPU a round trip, µs",
    "per_s": "round trips/s",
    "client_busy": "client busy",
}


class Turns:
    """Sends the next request of a device as soon as its reply is there."""

    def __init__(self, dialect: Dialect, goal: int):
        self.replies = 0
        self._goal = goal
        self._marker = dialect.echo_reply
        self._request = dialect.echo(1)

    def begin(self, device: Device) -> None:
        device.send(self._request)

    def feed(self, device: Device, data: bytes) -> None:
        for _ in range(data.count(self._marker)):
            self.replies += 1
            if self.replies < self._goal:
                device.send(self._request)

    def done(self) -> bool:
        return self.replies >= self._goal


def measure(name: str, connections: int, round_trips: int, progress: Progress) -> Row:
    """One run against the named server."""
    progress.begin(f"echo, {connections:,} connections: {fleet.TITLES[name]}")
    with fleet.running(name, connections) as (server, dialect):
        swarm = Swarm(server.port, dialect, progress)
        swarm.open(connections)
        swarm.rest(0.2)
        _turn(swarm, Turns(dialect, WARM_UP))
        turns = Turns(dialect, round_trips)
        client = Cost(os.getpid())
        cpu, own, began = server.cost.cpu(), client.cpu(), time.perf_counter()
        _turn(swarm, turns)
        wall = time.perf_counter() - began
        cpu, own = server.cost.cpu() - cpu, client.cpu() - own
        swarm.close()
    return {
        "server": fleet.TITLES[name],
        "connections": connections,
        "cpu_us": cpu / turns.replies * 1e6 if turns.replies else None,
        "per_s": turns.replies / wall,
        "missing": max(0, round_trips - turns.replies),
        "client_busy": own / wall,
    }


def _turn(swarm: Swarm, turns: Turns) -> None:
    for device in swarm.devices:
        turns.begin(device)
    swarm.pump_until(turns.done, turns.feed, PATIENCE_SECONDS)
    # The replies that were still under way when the goal was reached.
    swarm.rest(0.2)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--servers", nargs="+", choices=fleet.NAMES, default=list(fleet.NAMES))
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--round-trips", type=int, default=40_000)
    parser.add_argument("--repeat", type=int, default=1)


def run(options: argparse.Namespace, progress: Progress) -> Report:
    def one(name: str) -> Row:
        return measure(name, options.connections, options.round_trips, progress)

    rows = in_turn(options.servers, options.repeat, one)
    title = f"Echo: a small frame in and a small frame out, {options.connections} connections"
    return Report("echo", title, rows, COLUMNS, "cpu_us")
