"""Latency: how long a durable message takes from send to receive on an ordinary day.

1,000 devices in 50 conversations of 20, and 200 messages/s at a fixed pace.
"""

import argparse
import os
from contextlib import nullcontext

from loadtest import fleet, postgres
from loadtest.process import Cost
from loadtest.progress import Progress
from loadtest.report import Report, Row
from loadtest.swarm import Swarm
from loadtest.traffic import Traffic

COLUMNS = {
    "database": "database",
    "devices": "devices",
    "rate": "messages/s",
    "ack_p50_ms": "ack p50, ms",
    "ack_p99_ms": "ack p99",
    "receive_p50_ms": "receive p50",
    "receive_p95_ms": "receive p95",
    "receive_p99_ms": "receive p99",
    "receive_p99.9_ms": "receive p99.9",
    "lost": "lost",
    "doubled": "doubled",
    "server_busy": "server busy",
    "client_busy": "client busy",
}


def measure(
    database: str,
    conversations: int,
    members: int,
    rate: float,
    seconds: float,
    progress: Progress,
) -> Row:
    """One run on a fresh database."""
    progress.begin(f"latency, {conversations} conversations of {members}, {database}")
    place = postgres.cluster() if database == "postgresql" else nullcontext("")
    with place as url, fleet.product(url) as product:
        dialect = product.populate(conversations, members)
        swarm = Swarm(product.server.port, dialect, progress)
        swarm.open(conversations * members)
        swarm.rest(1)
        traffic = Traffic(swarm, dialect, conversations)
        traffic.open_loop(rate, 2, len(swarm.devices), progress.show)
        traffic.forget()
        client = Cost(os.getpid())
        cpu, own = product.server.cost.cpu(), client.cpu()
        traffic.open_loop(rate, seconds, len(swarm.devices), progress.show)
        cpu, own = product.server.cost.cpu() - cpu, client.cpu() - own
        row = {
            "database": database,
            "devices": len(swarm.devices),
            "rate": rate,
            **traffic.summary(),
            "server_busy": cpu / seconds,
            "client_busy": own / seconds,
        }
        swarm.close()
    return row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    choices = ("postgresql", "sqlite")
    parser.add_argument("--databases", nargs="+", choices=choices, default=list(choices))
    parser.add_argument("--conversations", type=int, default=50)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200, help="messages/s in all")
    parser.add_argument("--seconds", type=float, default=15)


def run(options: argparse.Namespace, progress: Progress) -> Report:
    rows = [
        measure(database, options.conversations, options.members, options.rate, options.seconds,
                progress)
        for database in options.databases
    ]  # fmt: skip
    title = f"Latency: {options.rate:.0f} durable messages/s, send to receive"
    return Report("latency", title, rows, COLUMNS, "receive_p99_ms", ("database",))
