"""Whole nodes of one process, but for their sockets: what the tests of several nodes share."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

from actors.archive import Archive, Listener
from actors.bus_memory import Hub, MemoryBus
from actors.bus_redis import RedisBus
from actors.counters import Counters
from actors.device import Device
from actors.flusher import Flusher
from actors.presence_memory import MemoryPresence, Table
from actors.presence_redis import RedisPresence
from actors.router import Router
from actors.supervisor import Supervisor
from actors.welcome import Welcome
from anmei.codec import decode
from anmei.commands import Command, CreateConversation
from anmei.ids import new_id
from anmei.settings import Settings
from db.store import Store
from tests.actors.kit import Wire, make_principal
from tests.actors.redis_nodes import SECRET, quiet, until

ROOM = "default/room"
#: Whoever says that it will `sync` is waited for, however slow the machine is.
SETTINGS = Settings(presence_grace=0, sync_wait=600_000)


class Person:
    """One connection of a user, and what it was told."""

    numbers = itertools.count(1)

    def __init__(self, node: "FullNode", user_id: str, only: str | None = None) -> None:
        self.node = node
        self.wire = Wire()
        self.device = Device(
            self.wire,
            make_principal(user_id),
            connection_id=f"conn_{next(self.numbers)}",
            device_id=f"dev_{user_id}_{node.router.node_id}",
            device_type="web",
            only=only,
            connected_at=next(self.numbers),
            limit=10_000_000,
            flusher=node.flusher,
            counters=node.counters,
        )
        self.device.ready = asyncio.get_running_loop().create_future()  # until it is welcomed
        self.user = node.router.attach(self.device)

    async def welcomed(self) -> "Person":
        router = self.node.router
        await Welcome(self.device, router, SETTINGS, client_resumes=False).run()
        await until(lambda: self.of("sync_complete"))
        return self

    async def resuming(self) -> "Person":
        """Told where it is, and about to say from where on it wants to hear."""
        router = self.node.router
        work = Welcome(self.device, router, SETTINGS, client_resumes=True).run
        self.device.task = router.supervisor.spawn("welcome", work)
        await until(lambda: self.device.sync_requested is not None)
        return self

    def say(self, type: str, **data: Any) -> None:
        frame = {"type": type, "id": f"r{next(self.numbers)}", "data": data}
        self.user.tell((self.device, decode(json.dumps(frame).encode())))

    def send(self, content: str) -> None:
        self.say("send_message", conversation_id="room", content=content, client_msg_id=new_id("c"))

    def of(self, type: str) -> list[dict[str, Any]]:
        return [frame["data"] for frame in self.wire.frames() if frame["type"] == type]

    def contents(self) -> list[str]:
        return [message["content"] for message in self.of("new_message")]


class FullNode:
    """Everything a node has but its sockets."""

    def __init__(self, node_id: str, store: Store, redis_url: str, hub: Hub, table: Table) -> None:
        loop = asyncio.get_running_loop()
        self.counters = Counters()
        self.supervisor = Supervisor(self.counters)
        self.flusher = Flusher(loop, self.counters)
        self.store = store
        if redis_url:
            self.bus: Any = RedisBus(
                node_id, redis_url, "", [SECRET], loop, self.supervisor, self.counters
            )
            self.presence: Any = RedisPresence(node_id, self.bus, loop, self.supervisor)
        else:
            self.bus = MemoryBus(node_id, loop, hub)
            self.presence = MemoryPresence(node_id, table)
        self.archive = Archive(self.store, batch=100, queue=1_000, counters=self.counters)
        self.router = Router(
            node_id,
            loop=loop,
            settings=SETTINGS,
            store=self.store,
            archive=self.archive,
            presence=self.presence,
            bus=self.bus,
            supervisor=self.supervisor,
            counters=self.counters,
        )
        self.heard: Listener = self.router

    async def start(self) -> None:
        await asyncio.to_thread(self.store.open)
        self.supervisor.start("archive", lambda: self.archive.run(self.heard))
        self.router.listen()
        await self.bus.start()
        await self.presence.start()

    async def do(self, command: Command) -> dict[str, Any]:
        return await self.archive.ask(command, 30)

    async def person(self, user_id: str, only: str | None = None) -> Person:
        """A connection that is wholly there: nothing is looked up on its account any more."""
        person = await Person(self, user_id, only).welcomed()
        await quiet()
        return person

    async def stop(self) -> None:
        for device in list(self.router.devices()):
            self.router.detach(device, 1000)
        await self.archive.flush()
        await self.presence.stop()
        await self.bus.stop()
        self.router.close()
        await self.supervisor.stop()
        await asyncio.to_thread(self.store.close)
        assert self.counters.crashes == 0


class Pair:
    """Two nodes with a group of ada, bob and eve."""

    one: FullNode
    two: FullNode

    async def start(self, stores: list[Store], redis_url: str) -> None:
        #: Whether they are linked by Redis.
        self.redis = bool(redis_url)
        hub, table = Hub(), Table()
        self.one = FullNode("node_1", stores[0], redis_url, hub, table)
        self.two = FullNode("node_2", stores[1], redis_url, hub, table)
        for node in (self.one, self.two):
            await node.start()
        await until(lambda: self.one.bus.others == self.two.bus.others == 1)
        if redis_url:
            await until(lambda: self.one.presence.others() and self.two.presence.others())
        await quiet()
        everybody = tuple(f"default/{name}" for name in ("ada", "bob", "eve"))
        await self.one.do(CreateConversation(ROOM, "group", "default/ada", everybody, 1))

    async def stop(self) -> None:
        await self.two.stop()
        await self.one.stop()


def fail_on(store: Store, query: Callable[..., Any], times: int = 1_000) -> list[RuntimeError]:
    """Has `store` crash so often where it is asked for `query`. Returns the crashes to come."""
    read, crashes = store.read, [RuntimeError("a fault of ours") for _ in range(times)]

    def crash(asked: Callable[..., Any], *args: Any) -> Any:
        if asked is query and crashes:
            raise crashes.pop()
        return read(asked, *args)

    store.read = crash
    return crashes
