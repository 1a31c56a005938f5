"""Ingest: how many durable messages one process takes, and how long each one waits.

Senders send their next message when the last one is acknowledged, into conversations of ten where
everybody is connected, which gives the highest rate; then 80 % of it at a fixed pace gives the
waiting times. Against the same server with one commit a message, on PostgreSQL and SQLite.
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

MEMBERS = 10
DATABASES = ("postgresql", "sqlite")

COLUMNS = {
    "database": "database",
    "commits": "commits",
    "per_s": "messages/s",
    "cpu_us": "server CPU a message, µs",
    "ack_p50_ms": "ack p50, ms",
    "ack_p99_ms": "ack p99",
    "receive_p50_ms": "receive p50",
    "receive_p99_ms": "receive p99",
    "ack_p99_80_ms": "ack p99 at 80 %",
    "receive_p99_80_ms": "receive p99 at 80 %",
    "lost": "lost",
    "doubled": "doubled",
    "client_busy": "client busy",
}


def measure(
    database: str, batched: bool, senders: int, seconds: float, paced: bool, progress: Progress
) -> Row:
    """The highest rate on a fresh database and, with `paced`, the times at 80 % of it."""
    commits = "grouped" if batched else "one a message"
    progress.begin(f"ingest, {senders} senders, {database}, commits {commits}")
    settings = {} if batched else {"ANMEI_DB_BATCH": 1}
    place = postgres.cluster() if database == "postgresql" else nullcontext("")
    with place as url, fleet.product(url, **settings) as product:
        conversations = senders // MEMBERS
        dialect = product.populate(conversations, MEMBERS)
        swarm = Swarm(product.server.port, dialect, progress)
        swarm.open(conversations * MEMBERS)
        swarm.rest(0.5)
        traffic = Traffic(swarm, dialect, conversations)
        client = Cost(os.getpid())
        cpu, own = product.server.cost.cpu(), client.cpu()
        rate = traffic.closed_loop(seconds, senders, progress.show)
        cpu, own = product.server.cost.cpu() - cpu, client.cpu() - own
        row: Row = {
            "database": database,
            "commits": commits,
            "senders": senders,
            "members": MEMBERS,
            "per_s": rate,
            "cpu_us": cpu / traffic.sent * 1e6,
            "client_busy": own / seconds,
            **traffic.summary(),
            "ack_p99_80_ms": None,
            "receive_p99_80_ms": None,
        }
        if paced:
            calm = Traffic(swarm, dialect, conversations)
            calm.open_loop(rate * 0.8, seconds, senders, progress.show)
            summary = calm.summary()
            row |= {f"{key.removesuffix('_ms')}_80_ms": value for key, value in summary.items()
                    if key.endswith("_ms")}  # fmt: skip
            row["lost"] += summary["lost"]
            row["doubled"] += summary["doubled"]
        swarm.close()
    return row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10, help="of each part")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    rows = []
    for database in options.databases:
        for batched in (True, False):
            rows.append(
                measure(database, batched, options.senders, options.seconds, batched, progress)
            )
    title = f"Ingest: durable messages of {options.senders} senders to ten members each"
    return Report("ingest", title, rows, COLUMNS, "per_s", ("database", "commits"))
