"""Workers: the same durable messages on 1, 2 and 4 processes, and what Redis between them costs.

Senders in conversations of ten, everybody connected, each sending its next message when the last
is acknowledged; members are on whatever worker took them, so with several workers nearly every
message goes over Redis. PostgreSQL and Redis are private ones. CPU is that of all workers, of
Redis and of PostgreSQL, each divided by the messages; the first row is one worker without Redis.
"""

import argparse
import multiprocessing
import os
import re
import time
import urllib.request
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from loadtest import fleet
from loadtest.chaos.redis import Redis
from loadtest.device import SwarmError
from loadtest.dialects import Anmei
from loadtest.postgres import Cluster
from loadtest.process import Cost, descendants
from loadtest.progress import Progress
from loadtest.report import Report, Row
from loadtest.server import free_port
from loadtest.swarm import Swarm
from loadtest.traffic import Traffic

MEMBERS = 10
SPARE_SECONDS = 120  # for connecting, and for what is under way at the end

COLUMNS = {
    "workers": "workers",
    "redis": "Redis",
    "per_s": "messages/s",
    "server_us": "server CPU a message, µs",
    "redis_us": "Redis CPU a message",
    "postgres_us": "PostgreSQL CPU a message",
    "redis_share": "Redis share of all CPU",
    "link_us": "server CPU more than without Redis",
    "publishes": "publishes a message",
    "bytes": "bytes a message",
    "ack_p50_ms": "ack p50, ms",
    "ack_p99_ms": "ack p99",
    "receive_p99_ms": "receive p99",
    "lost": "lost",
    "doubled": "doubled",
    "client_busy": "busiest client",
}

_METRIC = re.compile(r"^anmei_bus_(publishes|bytes)_total (\S+)$", re.MULTILINE)


def measure(
    workers: int, with_redis: bool, clients: int, senders: int, seconds: float, progress: Progress
) -> Row:
    """One line: so many workers on fresh stores."""
    progress.begin(f"workers: {workers}, {'with' if with_redis else 'without'} Redis")
    with ExitStack() as undo:
        postgres, redis = Cluster(), Redis()
        undo.callback(postgres.close)
        undo.callback(redis.close)
        postgres.start()
        redis.start()
        ports = free_port()
        settings: dict[str, object] = {"ANMEI_WORKERS": workers}
        if with_redis:
            settings["REDIS_URL"] = f"unix://{redis.socket}"
        if workers > 1:
            settings["ANMEI_WORKER_PORT"] = ports
        product = undo.enter_context(fleet.product(postgres.url(), **settings))
        port = product.server.port
        watched = [ports + number for number in range(workers)] if workers > 1 else [port]
        rooms = max(1, senders // clients // MEMBERS)
        crews = [
            Crew(port, product.populate(rooms, MEMBERS, prefix=f"p{n}"), rooms)
            for n in range(clients)
        ]
        for crew in crews:
            crew.connect(seconds)
        said = bus_totals(watched)
        cpu = {
            "server": descendants(product.server.cost.pid),
            "redis": [redis.pid],
            "postgres": descendants(postgres.pid),
        }
        before = {part: _cpu(pids) for part, pids in cpu.items()}
        for crew in crews:
            crew.go()
        results = [crew.result(seconds) for crew in crews]
        spent = {part: _cpu(pids) - before[part] for part, pids in cpu.items()}
        said = [after - then for after, then in zip(bus_totals(watched), said, strict=True)]
    sent = sum(result["sent"] for result in results)
    return {
        "workers": workers,
        "redis": with_redis,
        "clients": clients,
        "senders": clients * rooms * MEMBERS,
        "per_s": sum(result["per_s"] for result in results),
        **{f"{part}_us": seconds / sent * 1e6 for part, seconds in spent.items()},
        "redis_share": spent["redis"] / sum(spent.values()),
        "link_us": None,
        "publishes": said[0] / sent,
        "bytes": said[1] / sent,
        **{key: max(result[key] for result in results) for key in WORST},
        "lost": sum(result["lost"] for result in results),
        "doubled": sum(result["doubled"] for result in results),
    }


WORST = ("ack_p50_ms", "ack_p99_ms", "receive_p99_ms", "client_busy")


class Silence(Progress):
    """Several processes would write over each other's line."""

    def show(self, text: str) -> None:
        pass


class Crew:
    """Some of the senders, in a process of its own: one client alone would be the limit."""

    def __init__(self, port: int, dialect: Anmei, rooms: int) -> None:
        self._port = port
        self._rooms = rooms
        self._dialect = dialect
        self._link, self._end = multiprocessing.Pipe()
        self._process: Any = None

    def connect(self, seconds: float) -> None:
        """Returns when all are connected. Raises SwarmError."""
        self._process = multiprocessing.get_context("fork").Process(
            target=self._work, args=(seconds,), daemon=True
        )
        self._process.start()
        self._hear(SPARE_SECONDS)

    def go(self) -> None:
        self._link.send("go")

    def result(self, seconds: float) -> dict[str, Any]:
        found = self._hear(seconds + SPARE_SECONDS)
        self._process.join()
        return found

    def _hear(self, seconds: float) -> Any:
        if not self._link.poll(seconds):
            raise SwarmError("a client did not answer")
        found = self._link.recv()
        if isinstance(found, str):
            raise SwarmError(found)
        return found

    def _work(self, seconds: float) -> None:
        senders = self._rooms * MEMBERS
        try:
            swarm = Swarm(self._port, self._dialect, Silence())
            swarm.open(senders)
            swarm.rest(0.5)
            traffic = Traffic(swarm, self._dialect, self._rooms)
            self._end.send({})
            swarm.pump_until(lambda: self._end.poll(0), traffic.feed, SPARE_SECONDS)
            own, began = time.process_time(), time.monotonic()
            rate = traffic.closed_loop(seconds, senders, lambda text: None)
            busy = (time.process_time() - own) / (time.monotonic() - began)
            self._end.send({"per_s": rate, "client_busy": busy, **traffic.summary()})
            swarm.close()
        except Exception as error:  # whatever it is, the one who waits for us must hear of it
            self._end.send(f"a client failed: {type(error).__name__}: {error}")


def bus_totals(ports: Iterable[int]) -> list[float]:
    """Publishes and bytes that the workers at these ports have sent to others so far."""
    totals = {"publishes": 0.0, "bytes": 0.0}
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            for name, value in _METRIC.findall(answer.read().decode()):
                totals[name] += float(value)
    return list(totals.values())


def _cpu(pids: Iterable[int]) -> float:
    total = 0.0
    for pid in pids:
        try:
            total += Cost(pid).cpu()
        except OSError:
            continue  # it ended meanwhile, as helpers of PostgreSQL do
    return total


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--clients", type=int, default=2, help="processes that the senders are in")
    parser.add_argument("--seconds", type=float, default=10, help="of each row")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    work = (options.clients, options.senders, options.seconds, progress)
    rows = [measure(1, False, *work)]
    rows += [measure(workers, True, *work) for workers in options.workers]
    for row in rows[1:]:
        row["link_us"] = row["server_us"] - rows[0]["server_us"]
    cores = os.cpu_count()
    title = f"Workers: {options.senders} senders to ten members each, PostgreSQL, {cores} cores"
    passed = not any(row["lost"] or row["doubled"] for row in rows)
    return Report("workers", title, rows, COLUMNS, "per_s", ("workers", "redis"), passed=passed)
