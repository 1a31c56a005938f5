"""Storm: every device is lost at once, and all come back and sync.

The server is killed with SIGKILL in the middle of a burst and started again on the same store and
port. Every device then reconnects, says up to where it holds its conversation (a few messages
less than it had: a phone that did not save them) and receives the rest. Every message that was
acknowledged before must be there, none twice.
"""

import argparse
import re
import time
from collections.abc import Callable
from contextlib import nullcontext

from loadtest import fleet, postgres
from loadtest.device import Device, SwarmError
from loadtest.dialects import Anmei
from loadtest.progress import Progress
from loadtest.report import Report, Row
from loadtest.swarm import Swarm

BEFORE = 10
FORGOTTEN = 5
BURST = 4
PATIENCE_SECONDS = 120

COLUMNS = {
    "database": "database",
    "devices": "devices",
    "restart_s": "server up again, s",
    "back_s": "all back and synced, s",
    "since_kill_s": "since the kill, s",
    "cpu_s": "server CPU, s",
    "fetched": "messages fetched",
    "lost": "lost",
    "doubled": "doubled",
}

_SYNCED = b'"type":"sync_complete"'
_ACK = re.compile(rb'\{"type":"ack","id":"m(\d+)"')
_MESSAGE = re.compile(rb'"change_seq":(\d+),[^{}]*?@(\d+);')


class Ledger:
    """Which messages were acknowledged, and what each device holds.

    A message's number modulo the number of conversations is its conversation's, as for devices.
    """

    def __init__(self, devices: int, conversations: int):
        #: For each conversation: the numbers of its acknowledged messages.
        self.acked: list[set[int]] = [set() for _ in range(conversations)]
        #: For each device: the number of a message → its change_seq.
        self.held: list[dict[int, int]] = [{} for _ in range(devices)]
        self.received = 0
        self.doubled = 0
        self.synced = 0

    def feed(self, device: Device, data: bytes) -> None:
        held = self.held[device.index]
        for change_seq, number in _MESSAGE.findall(data):
            self.received += 1
            self.doubled += int(number) in held
            held[int(number)] = int(change_seq)
        for number in _ACK.findall(data):
            self.acked[int(number) % len(self.acked)].add(int(number))
        self.synced += data.count(_SYNCED)

    def acknowledged(self) -> int:
        return sum(map(len, self.acked))

    def forget_last(self, count: int) -> None:
        """Make every device forget the last messages that it holds."""
        for held in self.held:
            newest = sorted(held, key=held.__getitem__)
            for number in newest[max(0, len(newest) - count) :]:
                del held[number]

    def place(self, index: int) -> int:
        """The highest change_seq that a device holds."""
        return max(self.held[index].values(), default=0)

    def lost(self) -> int:
        """How many acknowledged messages are not held, over all devices."""
        return sum(
            len(self.acked[index % len(self.acked)].difference(held))
            for index, held in enumerate(self.held)
        )


def measure(database: str, devices: int, members: int, progress: Progress) -> Row:
    """One storm on a fresh database."""
    progress.begin(f"storm, {devices:,} devices, {database}")
    conversations = devices // members
    devices = conversations * members
    place = postgres.cluster() if database == "postgresql" else nullcontext("")
    with place as url, fleet.product(url) as product:
        dialect = product.populate(conversations, members, resume=True)
        ledger = Ledger(devices, conversations)
        swarm = Swarm(product.server.port, dialect, progress)
        _connect(swarm, dialect, ledger, devices, progress)

        for number in range(conversations * BEFORE):
            _send(swarm, dialect, conversations, number)
            swarm.pump(ledger.feed, 0)
        sent = conversations * BEFORE
        _until(swarm, ledger, lambda: ledger.received >= sent * members, "messages to arrive")
        for number in range(sent, sent + conversations * BURST):
            _send(swarm, dialect, conversations, number)
        half = sent + conversations * BURST // 2
        _until(swarm, ledger, lambda: ledger.acknowledged() >= half, "half of the burst")

        progress.begin(f"storm, {devices:,} devices, {database}: killed")
        killed = time.perf_counter()
        product.server.kill()
        # What the kernel had already delivered counts as received.
        swarm.pump_until(lambda: len(swarm.lost) >= devices, ledger.feed, PATIENCE_SECONDS)
        swarm.close()
        ledger.forget_last(FORGOTTEN)
        ledger.received = ledger.doubled = 0
        product.server.start()
        up = time.perf_counter()
        cpu = product.server.cost.cpu()
        _connect(swarm, dialect, ledger, devices, progress)
        back = time.perf_counter()
        cpu = product.server.cost.cpu() - cpu
        swarm.rest(1, ledger.feed)
        swarm.close()
    return {
        "database": database,
        "devices": devices,
        "restart_s": up - killed,
        "back_s": back - up,
        "since_kill_s": back - killed,
        "cpu_s": cpu,
        "acknowledged": ledger.acknowledged(),
        "fetched": ledger.received,
        "lost": ledger.lost(),
        "doubled": ledger.doubled,
    }


def _connect(
    swarm: Swarm, dialect: Anmei, ledger: Ledger, devices: int, progress: Progress
) -> None:
    """Connect all, each saying where it stands as soon as it may, and wait until all are synced."""
    ledger.synced = 0

    def sync(device: Device) -> None:
        conversation_id = dialect.conversation_of(device.index)
        device.send(dialect.sync(conversation_id, ledger.place(device.index)))

    swarm.open(devices, ledger.feed, sync, PATIENCE_SECONDS)
    progress.show("syncing")
    _until(swarm, ledger, lambda: ledger.synced >= devices, "all to be synced")


def _send(swarm: Swarm, dialect: Anmei, conversations: int, number: int) -> None:
    device = swarm.devices[number % conversations]
    device.send(dialect.send_message(f"@{number};", device.index, f"m{number}"))


def _until(swarm: Swarm, ledger: Ledger, done: Callable[[], bool], what: str) -> None:
    if not swarm.pump_until(done, ledger.feed, PATIENCE_SECONDS):
        raise SwarmError(
            f"waited {PATIENCE_SECONDS} s for {what}: {ledger.received} received, "
            f"{ledger.acknowledged()} acknowledged, {ledger.synced} synced, "
            f"{len(swarm.lost)} connections lost {list(swarm.lost.items())[:1]}"
        )
    if swarm.lost:
        raise SwarmError(f"waiting for {what}, connections were lost: {swarm.lost.popitem()}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--databases", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite"]
    )
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=20, help="of each conversation")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    rows = [
        measure(database, options.devices, options.members, progress)
        for database in options.databases
    ]
    title = f"Storm: {options.devices:,} devices lost at once, back and synced"
    return Report("storm", title, rows, COLUMNS, "back_s", ("database",))
