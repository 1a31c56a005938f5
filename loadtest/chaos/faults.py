"""What goes wrong, by kind; and the plan of a run, drawn from a seed."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtest.chaos.client import Client
from loadtest.chaos.site import Site

EVERY = 5.0  # seconds from one fault to the next
REST = 1.0  # seconds that what was struck is left alone afterwards


@dataclass
class Scene:
    """What a fault may reach: `site` is None where the servers are somebody else's."""

    clients: list[Client]
    site: Site | None
    chance: random.Random

    @property
    def own(self) -> Site:
        assert self.site is not None
        return self.site


@dataclass(frozen=True)
class Kind:
    """How one kind of fault is done. `strike` gets the scene, the index of a node and a time in
    seconds, and returns when all is as before."""

    about: str
    #: What it needs for itself meanwhile: `node`, `redis`, `redis link`, `postgres`,
    #: `postgres link` (links and nodes are one for each node) or `clients`.
    target: str
    least: float
    most: float
    strike: Callable[[Scene, int, float], Awaitable[None]]


@dataclass(frozen=True)
class Step:
    """One line of the plan; `node` is an index, and counts where the target is one for each."""

    at: float
    kind: str
    node: int
    seconds: float


async def _kill_node(scene: Scene, number: int, seconds: float) -> None:
    node = scene.own.nodes[number]
    await asyncio.to_thread(node.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(node.start)


async def _drain_node(scene: Scene, number: int, seconds: float) -> None:
    node = scene.own.nodes[number]
    await asyncio.to_thread(node.drain)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(node.start)


async def _freeze_node(scene: Scene, number: int, seconds: float) -> None:
    node = scene.own.nodes[number]
    node.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        node.signal(signal.SIGCONT)


async def _kill_redis(scene: Scene, number: int, seconds: float) -> None:
    redis = scene.own.redis
    assert redis is not None
    await asyncio.to_thread(redis.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(redis.start)


def _tell_redis(*words: str, again: float = 0) -> Callable[[Scene, int, float], Awaitable[None]]:
    """Says it once, or every `again` seconds; MS stands for the time in milliseconds."""

    async def strike(scene: Scene, number: int, seconds: float) -> None:
        redis = scene.own.redis
        assert redis is not None
        told = [str(int(seconds * 1000)) if word == "MS" else word for word in words]
        end = time.monotonic() + seconds
        await asyncio.to_thread(redis.say, *told)
        while time.monotonic() < end:
            await asyncio.sleep(again or seconds)
            if again:
                await asyncio.to_thread(redis.say, *told)

    return strike


async def _part_redis(scene: Scene, number: int, seconds: float) -> None:
    await scene.own.redis_links[number].partition(seconds)


async def _swallow_redis(scene: Scene, number: int, seconds: float) -> None:
    await scene.own.redis_links[number].swallow(seconds)


async def _slow_redis(scene: Scene, number: int, seconds: float) -> None:
    await scene.own.redis_links[number].slow(seconds, scene.chance.uniform(0.02, 0.4))


async def _stop_postgres(scene: Scene, number: int, seconds: float) -> None:
    await asyncio.to_thread(scene.own.postgres.stop_at_once)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(scene.own.postgres.start)


async def _end_sessions(scene: Scene, number: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.to_thread(scene.own.postgres.terminate_sessions)
        await asyncio.sleep(0.5)


async def _part_postgres(scene: Scene, number: int, seconds: float) -> None:
    await scene.own.postgres_links[number].partition(seconds)


async def _swallow_postgres(scene: Scene, number: int, seconds: float) -> None:
    await scene.own.postgres_links[number].swallow(seconds)


async def _cut_commit(scene: Scene, number: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (rest := end - time.monotonic()) > 0:
        await scene.own.postgres_links[number].cut_answer(b"COMMIT", rest)
        await asyncio.sleep(0.2)


async def _cut_clients(scene: Scene, number: int, seconds: float) -> None:
    for client in scene.chance.sample(scene.clients, max(1, len(scene.clients) // 3)):
        client.cut()


async def _stall_clients(scene: Scene, number: int, seconds: float) -> None:
    for client in scene.chance.sample(scene.clients, max(1, len(scene.clients) // 6)):
        client.stalled_until = time.monotonic() + seconds
    await asyncio.sleep(seconds)


async def _storm(scene: Scene, number: int, seconds: float) -> None:
    for client in scene.clients:
        client.hurry = True
        client.cut()


KINDS = {
    "node killed": Kind("kill -9, and a new start", "node", 0.1, 3, _kill_node),
    "node drained": Kind("SIGTERM, and a new start", "node", 0.1, 1, _drain_node),
    "node frozen": Kind("SIGSTOP, then SIGCONT", "node", 3, 12, _freeze_node),
    "Redis killed": Kind("kill -9, and an empty one in its place", "redis", 0.1, 5, _kill_redis),
    "Redis subscribers cut": Kind(
        "CLIENT KILL TYPE pubsub, again and again",
        "redis",
        0.2,
        3,
        _tell_redis("CLIENT", "KILL", "TYPE", "pubsub", again=0.2),
    ),
    "Redis paused": Kind(
        "CLIENT PAUSE", "redis", 1, 8, _tell_redis("CLIENT", "PAUSE", "MS", "ALL")
    ),
    "Redis emptied": Kind("FLUSHALL", "redis", 0, 0, _tell_redis("FLUSHALL")),
    "Redis parted from a node": Kind("connections refused", "redis link", 2, 10, _part_redis),
    "Redis silent to a node": Kind("nothing passes", "redis link", 2, 10, _swallow_redis),
    "Redis slow for a node": Kind("every piece waits", "redis link", 3, 8, _slow_redis),
    "PostgreSQL stopped": Kind("immediate stop, and start", "postgres", 0.1, 4, _stop_postgres),
    "PostgreSQL sessions ended": Kind("all of them", "postgres", 0.1, 3, _end_sessions),
    "PostgreSQL parted from a node": Kind(
        "connections refused", "postgres link", 1, 5, _part_postgres
    ),
    "PostgreSQL silent to a node": Kind("nothing passes", "postgres link", 1, 8, _swallow_postgres),
    "COMMIT answers cut": Kind(
        "done, and nobody knows; again and again", "postgres link", 0.5, 3, _cut_commit
    ),
    "clients cut": Kind("a third of the sockets", "clients", 0, 0, _cut_clients),
    "clients stalled": Kind("a sixth stop reading", "clients", 3, 10, _stall_clients),
    "reconnect storm": Kind("all at once, without a pause", "clients", 0, 0, _storm),
}


def kinds_for(nodes: int, redis: bool) -> list[str]:
    """The kinds that can be done; without nodes of one's own, what clients do themselves."""
    return [
        name
        for name, kind in KINDS.items()
        if kind.target == "clients" or (nodes and (redis or not kind.target.startswith("redis")))
    ]


def plan(seed: int, kinds: list[str], nodes: int, seconds: float) -> list[Step]:
    """One fault every `EVERY` seconds, each kind once before any comes again, and none where the
    one before is still under way. The same seed gives the same plan."""
    chance = random.Random(seed)
    bag: list[str] = []
    busy: dict[tuple[str, int], float] = {}
    steps = []
    at = EVERY
    while at < seconds:
        if not bag:
            bag = chance.sample(kinds, len(kinds))
        for name in bag:
            kind = KINDS[name]
            number = chance.randrange(max(1, nodes))
            key = kind.target, number if kind.target in ("node", *LINKS) else 0
            length = round(chance.uniform(kind.least, kind.most), 2)
            if busy.get(key, 0) <= at:
                bag.remove(name)
                busy[key] = at + length + REST
                steps.append(Step(at, name, number, length))
                break
        at += EVERY
    return steps


LINKS = ("redis link", "postgres link")
