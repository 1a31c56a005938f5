"""One run: people come, faults strike, all is healed, everything is counted."""

import argparse
import asyncio
import contextlib
import gc
import random
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

from loadtest import tokens
from loadtest.chaos import faults, site
from loadtest.chaos.cast import cast
from loadtest.chaos.client import Client, read_store
from loadtest.chaos.journal import Journal, read
from loadtest.chaos.verdict import KINDS, STORE, Verdict, judge
from loadtest.chaos.websocket import Closed, Refused
from loadtest.progress import Progress
from loadtest.report import RESULTS, Report
from loadtest.server import ServerError

TENDER_SECONDS = 90.0  # what clients have, when all is healed, to have everything acknowledged
CATCH_UP_SECONDS = 60.0  # and then to be shown everything
LINGER_SECONDS = 2.0  # for what comes although all have everything

COLUMNS = {
    "who": "who",
    "expected": "messages",
    "ok": "ok",
    **{kind: kind for kind in KINDS},
    "unacknowledged": "unacknowledged",
    "connections": "connections",
    "slowest_s": "slowest ack, s",
    "median_s": "ack → shown, median s",
    "longest_s": "longest, s",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, help="of faults")
    parser.add_argument("--nodes", type=int, default=3, help="of its own; one needs no Redis")
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--conversations", type=int, default=10)
    parser.add_argument("--rate", type=float, default=30.0, help="messages a second, of all")
    parser.add_argument("--seed", type=int, help="repeats the faults of a run; else drawn")
    parser.add_argument(
        "--faults",
        nargs="+",
        choices=faults.KINDS,
        metavar="KIND",
        help=f"only these: {', '.join(faults.KINDS)}",
    )
    parser.add_argument(
        "--url",
        action="append",
        default=[],
        help="a node of a deployment that is there; may be given several times",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the files go")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--secret", help="the deployment's JWT_SECRET")
    key.add_argument("--token", help="an admin's token; the deployment then makes the users'")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    if options.url and not (options.secret or options.token):
        raise ServerError("--url needs --secret or --token, to sign in with")
    gc.enable()  # nothing is timed to the millisecond here, and it lasts long
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    folder = options.results / f"chaos-{time.strftime('%Y%m%d-%H%M%S')}-{seed}"
    folder.mkdir(parents=True)
    print(f"seed {seed}; the raw history goes to {folder}", flush=True)
    with open(folder / "history.jsonl", "w") as file:
        clients = asyncio.run(_Run(options, seed, folder, Journal(file), progress).play())
    progress.begin("counting")
    report = report_on(judge(read(folder / "history.jsonl")), clients)
    report.title = f"Chaos: {options.minutes:g} minutes, seed {seed}"
    report.folder = folder
    return report


def report_on(verdict: Verdict, clients: list[Client]) -> Report:
    """The table, and what was found on standard error."""
    by_name = {client.name: client for client in clients}
    rows = []
    for who in verdict.who:
        row: dict[str, object] = {"who": who}
        for kind in ("ok", *KINDS, "unacknowledged"):
            row[kind] = verdict.counts[who, kind]
        row["expected"] = sum(verdict.counts[who, kind] for kind in ("ok", *KINDS))
        client = by_name.get(who)
        row["connections"] = client.connections if client else None
        row["slowest_s"] = client.slowest if client else None
        waits = verdict.waits.get(who)
        row["median_s"] = round(waits[len(waits) // 2], 4) if waits else None
        row["longest_s"] = round(waits[-1], 2) if waits else None
        rows.append(row)
    for finding in verdict.findings:
        print(finding, file=sys.stderr)
    report = Report("chaos", "Chaos", rows, COLUMNS, passed=verdict.passed)
    total = {kind: sum(verdict.counts[who, kind] for who in verdict.who) for kind in KINDS}
    report.details = [{"findings": verdict.findings, "total": total, "stored": STORE}]
    return report


class _Run:
    """Everything between the first conversation and the last line of the journal."""

    def __init__(
        self,
        options: argparse.Namespace,
        seed: int,
        folder: Path,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self._options = options
        self._seed = seed
        self._folder = folder
        self._journal = journal
        self._progress = progress
        self._site: site.Site | None = None
        self._clients: list[Client] = []
        self._struck = 0

    async def play(self) -> list[Client]:
        options = self._options
        if not options.url:
            self._progress.begin(f"starting {options.nodes} nodes")
            self._site = site.Site(options.nodes, self._folder)
        try:
            if self._site is not None:
                await self._site.start()
            await self._run(options.url or self._own().urls)
        finally:
            if self._site is not None:
                await self._site.close()
        return self._clients

    async def _run(self, urls: list[str]) -> None:
        options = self._options
        # On a deployment that is used by others too, and maybe by the last run, nothing collides.
        mark = f"chaos-{secrets.token_hex(4)}"
        nodes = len(self._site.nodes) if self._site else 0
        kinds = options.faults or faults.kinds_for(nodes, nodes > 1)
        if impossible := set(kinds) - set(faults.kinds_for(nodes, nodes > 1)):
            raise ServerError(f"cannot be done here: {', '.join(sorted(impossible))}")
        steps = faults.plan(self._seed, kinds, nodes, options.minutes * 60)
        await self._make_clients(urls, mark)
        running = [asyncio.create_task(client.run()) for client in self._clients]
        try:
            self._progress.begin("waiting for everybody")
            await self._until(lambda: all(client.synced for client in self._clients), 60)
            await self._strike(steps, len(steps))
            for client in self._clients:
                client.talking = False
            self._progress.begin("all is healed: what waits is being sent")
            await self._until(
                lambda: not any(client.outbox for client in self._live()), TENDER_SECONDS
            )
            heads = await self._read(urls[-1])
            self._progress.begin("waiting until everybody has everything")
            await self._until(lambda: all(c.holds(heads) for c in self._live()), CATCH_UP_SECONDS)
            await asyncio.sleep(LINGER_SECONDS)
        finally:
            for task in running:
                task.cancel()
            ends = await asyncio.gather(*running, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end  # a fault of the checker, not of what it checks

    async def _make_clients(self, urls: list[str], mark: str) -> None:
        options = self._options
        people = cast(options.clients, options.conversations, len(urls), self._seed)
        users = [f"{mark}-u{number}" for number in range(people.users)]
        reader = f"{mark}-reader"
        rooms = {
            f"{mark}-r{number}": [reader, *(users[index] for index in members)]
            for number, members in enumerate(people.rooms)
        }
        if options.token:
            everybody, admin = [*users, reader], options.token
            keys = await asyncio.to_thread(site.tokens_from, urls[0], admin, everybody)
        else:
            secret = options.secret or self._own().secret
            admin = tokens.make(secret, mark, "service", "admin")
            keys = {user: tokens.make(secret, user, "user") for user in [*users, reader]}
        await asyncio.to_thread(site.populate, urls[0], admin, rooms)
        self._rooms, self._reader = list(rooms), keys[reader]
        rate = options.rate / options.clients
        for part in people.parts:
            own = [self._rooms[index] for index in part.rooms]
            user = users[part.user]
            chance = random.Random(f"{self._seed} {part.name}")
            self._clients.append(
                Client(part.name, keys[user], urls, part.home, own, self._journal, rate, chance)
            )
            self._journal.note(part.name, "is", user=user, rooms=own)

    async def _strike(self, steps: list[faults.Step], count: int) -> None:
        scene = faults.Scene(self._clients, self._site, random.Random(self._seed))
        begun = time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        try:
            for number, step in enumerate(steps, 1):
                await asyncio.sleep(max(0.0, begun + step.at - time.monotonic()))
                kind = faults.KINDS[step.kind]
                where = f" {step.node + 1}" if kind.target in ("node", *faults.LINKS) else ""
                self._progress.begin(
                    f"{number}/{count} {step.kind}{where}, {step.seconds:g} s ({self._state()})"
                )
                task = asyncio.create_task(self._one(step, kind, scene))
                under_way.add(task)
            await asyncio.sleep(max(0.0, begun + self._options.minutes * 60 - time.monotonic()))
            await asyncio.gather(*under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _one(self, step: faults.Step, kind: faults.Kind, scene: faults.Scene) -> None:
        number = self._struck = self._struck + 1
        about = {"number": number, "kind": step.kind, "node": step.node, "seconds": step.seconds}
        self._journal.note("chaos", "fault", **about)
        try:
            await kind.strike(scene, step.node, step.seconds)
        except ServerError as error:
            self._journal.note("chaos", "failed to heal", number=number, text=str(error))
        else:
            self._journal.note("chaos", "healed", number=number)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        """Returns when it is so, or when the time is up: then the count will tell."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done():
                    self._progress.show(self._state())
                    await asyncio.sleep(0.1)

    async def _read(self, url: str) -> dict[str, int]:
        """The history as a fresh client reads it, from the first to the last page in one go."""
        for attempt in range(10):
            lines = _Lines(self._journal)
            try:
                heads = await read_store(url, self._reader, self._rooms, lines)
            except (OSError, TimeoutError, Closed, Refused) as error:
                self._journal.note("reader", "not read", attempt=attempt, why=str(error))
                await asyncio.sleep(1)
            else:
                lines.keep()
                return heads
        raise ServerError("the history cannot be read although all was healed")

    def _own(self) -> site.Site:
        assert self._site is not None
        return self._site

    def _live(self) -> list[Client]:
        return [client for client in self._clients if not client.banned]

    def _state(self) -> str:
        acked = sum(client.acknowledged for client in self._clients)
        waiting = sum(len(client.outbox) for client in self._clients)
        connected = sum(client.synced for client in self._clients)
        return f"{connected} clients live, {acked:,} acknowledged, {waiting} waiting"


class _Lines(Journal):
    """Holds lines back until it is known that they are whole."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held: list[tuple[str, str, dict[str, object]]] = []

    def note(self, who: str, what: str, **more: object) -> None:
        self._held.append((who, what, more))

    def keep(self) -> None:
        for who, what, more in self._held:
            self._journal.note(who, what, **more)
