"""Fan-out: what one delivery costs the server when many devices are in one room.

One device publishes, all receive. Either the next message goes out when all have received the
last one (lockstep), or with `--rate` at a fixed pace, whatever comes back. The cost is the server's
user and system time between the first publish and the last delivery, divided by the deliveries.
Beside it stands how long a delivery took, from the moment its message was due, at some devices
spread over the room: what a server gains by sending several messages at once is paid for there.
"""

import argparse
import os
import re
import secrets
import time

from loadtest import fleet
from loadtest.device import Device
from loadtest.process import Cost
from loadtest.progress import Progress
from loadtest.report import Report, Row
from loadtest.stats import in_turn, percentiles
from loadtest.swarm import Swarm

WARM_UP_MESSAGES = 20
SAMPLED_DEVICES = 20
NAP_SECONDS = 0.001
#: Without a single delivery; a slow server may take as long as it needs.
PATIENCE_SECONDS = 10
LONGEST_SECONDS = 240
#: Behind the last delivery, for what comes twice.
REST_SECONDS = 0.1

COLUMNS = {
    "server": "server",
    "devices": "devices",
    "bytes": "bytes",
    "rate": "messages/s",
    "cpu_us": "server CPU a delivery, µs",
    "joined": "messages a read",
    "receive_p50_ms": "receive p50, ms",
    "receive_p95_ms": "receive p95",
    "delivered_per_s": "deliveries/s",
    "lost": "lost",
    "doubled": "doubled",
    "client_busy": "client busy",
}


class Tally:
    """Counts deliveries by a marker, and keeps a few devices' messages to look at one by one."""

    def __init__(self) -> None:
        self.tag = f"@{secrets.token_hex(3)}#"
        self.total = 0
        #: Pieces in which deliveries were read: with one `send` a delivery, nearly as many.
        self.reads = 0
        self._marker = self.tag.encode()
        self._numbers = re.compile(self._marker + rb"(\d{6});")
        self.sampled: dict[int, list[int]] = {}
        #: When each message was due, and what each sampled delivery took, in seconds.
        self.due: list[float] = []
        self.waits: list[float] = []

    def content(self, number: int, size: int) -> str:
        """A message of `size` characters with its number in it."""
        return f"{self.tag}{number:06d};".ljust(size, "x")

    def feed(self, device: Device, data: bytes) -> None:
        count = data.count(self._marker)
        if not count:
            return
        self.total += count
        self.reads += 1
        device.received += count
        if device.index in self.sampled:
            now = time.perf_counter()
            numbers = [int(number) for number in self._numbers.findall(data)]
            self.sampled[device.index] += numbers
            self.waits += [now - self.due[number] for number in numbers]


def measure(
    name: str,
    devices: int,
    messages: int,
    size: int,
    rate: float,
    progress: Progress,
    *,
    burst: int = 1,
) -> Row:
    """One run against the named server; messages go out `burst` at a time."""
    progress.begin(f"fan-out, {devices:,} devices: {fleet.TITLES[name]}")
    with fleet.running(name, devices) as (server, dialect):
        swarm = Swarm(server.port, dialect, progress)
        row = broadcast(server.cost, swarm, devices, messages, size, rate, progress, burst=burst)
        swarm.close()
    return {"server": fleet.TITLES[name], **row}


def broadcast(
    server: Cost,
    swarm: Swarm,
    devices: int,
    messages: int,
    size: int,
    rate: float,
    progress: Progress,
    *,
    burst: int = 1,
) -> Row:
    """Open the devices, publish, and see what each of them got."""
    swarm.open(devices)
    swarm.nap = NAP_SECONDS
    _publish(swarm, Tally(), WARM_UP_MESSAGES, size, rate, progress)
    for device in swarm.devices:
        device.received = 0
    tally = Tally()
    step = max(1, devices // SAMPLED_DEVICES)
    tally.sampled = {device.index: [] for device in swarm.devices[::step]}
    client = Cost(os.getpid())
    cpu, own = server.cpu(), client.cpu()
    wall = _publish(swarm, tally, messages, size, rate, progress, burst)
    cpu, own = server.cpu() - cpu, client.cpu() - own
    counts = [device.received for device in swarm.devices]
    return {
        "devices": devices,
        "bytes": size,
        "rate": rate or None,
        "cpu_us": cpu / tally.total * 1e6 if tally.total else 0.0,
        "joined": tally.total / tally.reads if tally.reads else 0.0,
        **percentiles(tally.waits, "receive"),
        "delivered_per_s": tally.total / wall,
        "lost": sum(max(0, messages - count) for count in counts),
        "doubled": sum(max(0, count - messages) for count in counts),
        "disordered_of_sampled": sum(
            numbers != list(range(messages)) for numbers in tally.sampled.values()
        ),
        "connections_lost": len(swarm.lost),
        "client_busy": own / wall,
        "seconds": wall,
    }


def _publish(
    swarm: Swarm,
    tally: Tally,
    messages: int,
    size: int,
    rate: float,
    progress: Progress,
    burst: int = 1,
) -> float:
    """Publish all, and wait until everything has arrived, or nothing more comes.

    Returns the seconds from the first publish to the last delivery.
    """
    sender, count = swarm.devices[0], len(swarm.devices)
    began = last = time.perf_counter()

    def arrived(expected: int) -> bool:
        nonlocal last
        seen, waiting = tally.total, time.perf_counter()
        while tally.total < expected:
            swarm.pump(tally.feed, 0.5)
            now = time.perf_counter()
            if tally.total > seen:
                seen, last, waiting = tally.total, now, now
            elif now - waiting > PATIENCE_SECONDS or now - began > LONGEST_SECONDS:
                return False
            progress.show(f"{tally.total:,} of {messages * count:,} deliveries")
        return True

    for number in range(messages):
        while rate and (wait := began + number / rate - time.perf_counter()) > 0:
            swarm.pump(tally.feed, wait)
        tally.due.append(began + number / rate if rate else time.perf_counter())
        sender.send(swarm.dialect.publish(tally.content(number, size)))
        done = number + 1
        if not rate and done % burst == 0 and not arrived(done * count):
            break
    else:
        arrived(messages * count)
    swarm.rest(REST_SECONDS, tally.feed)
    return last - began


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--servers", nargs="+", choices=fleet.NAMES, default=list(fleet.NAMES))
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--bytes", type=int, default=120, help="characters of a message")
    parser.add_argument("--rate", type=float, default=0, help="messages/s; 0: one after another")
    parser.add_argument("--burst", type=int, default=1, help="messages sent at a time")
    parser.add_argument("--repeat", type=int, default=1)


def run(options: argparse.Namespace, progress: Progress) -> Report:
    def one(name: str) -> Row:
        return measure(
            name,
            options.devices,
            options.messages,
            options.bytes,
            options.rate,
            progress,
            burst=options.burst,
        )

    rows = in_turn(options.servers, options.repeat, one)
    title = f"Fan-out: {options.messages} messages to {options.devices:,} devices in one room"
    return Report("fanout", title, rows, COLUMNS, "cpu_us")
