"""Slow: one member of a busy conversation stops reading; what do the others and the server feel?

The same pace of messages twice: with everybody reading, then with one device that reads nothing.
The others' waiting times and the server's memory should not change, and the device should be
closed once what waits for it has outgrown its queue.
"""

import argparse
import socket
import time

from loadtest import fleet
from loadtest.progress import Progress
from loadtest.report import Report, Row
from loadtest.swarm import Swarm
from loadtest.traffic import Traffic

RECEIVE_BUFFER_BYTES = 8_192
CLOSE_PATIENCE_SECONDS = 15

COLUMNS = {
    "phase": "phase",
    "members": "members",
    "rate": "messages/s",
    "bytes": "bytes",
    "receive_p50_ms": "others' receive p50, ms",
    "receive_p99_ms": "others' receive p99",
    "resident_mb": "server MB after",
    "stalled_device": "stalled device",
}


def measure(members: int, rate: float, size: int, seconds: float, progress: Progress) -> list[Row]:
    """Both phases on one server."""
    progress.begin(f"slow, one of {members} members stops reading")
    with fleet.product() as product:
        dialect = product.populate(1, members)
        swarm = Swarm(product.server.port, dialect, progress)
        swarm.open(members)
        swarm.rest(0.5)
        stalled = swarm.devices[-1]
        rows = []
        for phase in ("all read", "one stalls"):
            traffic = Traffic(swarm, dialect, 1, size)
            if phase == "one stalls":
                swarm.pause(stalled)
                # The kernel keeps megabytes for a connection that asks for nothing else.
                buffer = (socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
                stalled.socket.setsockopt(*buffer)
                traffic.absent = 1
            traffic.open_loop(rate, seconds, members - 1, progress.show)
            summary = traffic.summary()
            rows.append(
                {
                    "phase": phase,
                    "members": members,
                    "rate": rate,
                    "bytes": size,
                    **{key: value for key, value in summary.items() if key.endswith("_ms")},
                    "resident_mb": product.server.cost.resident() / 1024 / 1024,
                    "stalled_device": "–" if phase == "all read" else _fate(swarm, members - 1),
                }
            )
        swarm.close()
    return rows


def _fate(swarm: Swarm, index: int) -> str:
    """Read what is left for the stalled device, and see whether the server has closed it."""
    # Through the small buffer the megabytes that the kernel still holds would take minutes.
    swarm.devices[index].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    swarm.unpause(swarm.devices[index])
    end = time.monotonic() + CLOSE_PATIENCE_SECONDS
    last = b""

    def keep(device: object, data: bytes) -> None:
        nonlocal last
        if device is swarm.devices[index]:
            last = data[-400:]

    while index not in swarm.lost and time.monotonic() < end:
        swarm.pump(keep, 0.2)
    if index not in swarm.lost:
        return "still connected"
    return "closed with 4200" if b'"code":4200' in last else f"gone: {swarm.lost[index]}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--bytes", type=int, default=4_000)
    parser.add_argument("--seconds", type=float, default=15, help="of each phase")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    rows = measure(options.members, options.rate, options.bytes, options.seconds, progress)
    title = f"Slow: one of {options.members} members stops reading"
    return Report("slow", title, rows, COLUMNS, "receive_p99_ms", ("phase",))
