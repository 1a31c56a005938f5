"""What the tests of the running server share: nodes, conversations, and a crowd that uses them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.child import Child
from tests.support.http import Answer, Http
from tests.support.oracle import Oracle
from tests.support.process import ROOT, AnmeiProcess
from tests.support.regulars import Observer, Regular, Sender, read_history

Start = Callable[..., Awaitable[AnmeiProcess]]
MakeRoom = Callable[..., Awaitable[str]]


@pytest.fixture
def node(database_url: str, anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    """A node with default settings, once with each database. The database comes first among the
    fixtures here as everywhere: what is made first goes last."""
    return anmei({"DATABASE_URL": database_url})


@pytest.fixture
def small_node(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    """A node with default settings on SQLite: for what no database has a part in."""
    return anmei()


@pytest.fixture
def start(anmei: Callable[..., AnmeiProcess]) -> Start:
    """`await start(env)` starts a node without holding up the loop."""

    async def start(env: dict[str, str] | None = None, **options: Any) -> AnmeiProcess:
        return await asyncio.to_thread(lambda: anmei(env, **options))

    return start


@pytest.fixture
def backend() -> Callable[..., Awaitable[Answer]]:
    """`await backend(node, "POST", path, body)`: a request of the app's own server (role service),
    or, with `token`, of whoever holds that."""

    async def request(
        node: AnmeiProcess,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        tenant: str = "default",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        http = Http(node.url, token or node.token("backend", roles=["service"], tenant=tenant))
        try:
            return await http.request(method, path, body, headers=headers)
        finally:
            http.close()

    return request


@pytest.fixture
def make_room(backend: Callable[..., Awaitable[Answer]]) -> MakeRoom:
    """`await make_room(node, "alice", "bob")` makes a group that the first one owns; its id."""

    async def make(
        node: AnmeiProcess, owner: str, *others: str, id: str | None = None, tenant: str = "default"
    ) -> str:
        body = {"kind": "group", "owner_id": owner, "participant_ids": list(others)}
        if id is not None:
            body["id"] = id
        answer = await backend(node, "POST", "/api/v1/conversations", body, tenant=tenant)
        assert answer.status == 201, answer
        return answer.body["conversation_id"]

    return make


@pytest.fixture
def metrics(
    backend: Callable[..., Awaitable[Answer]],
) -> Callable[..., Awaitable[dict[str, float]]]:
    """`(await metrics(node))["anmei_messages_total"]`: what `/metrics` shows, by name."""

    async def read(node: AnmeiProcess) -> dict[str, float]:
        answer = await backend(node, "GET", "/metrics")
        assert answer.status == 200, answer
        lines = answer.body.decode().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if line and not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    return read


class Crowd:
    """Senders and observers of some conversations, at work in the background."""

    def __init__(self, node: AnmeiProcess, rooms: list[str]) -> None:
        self.node = node
        self.rooms = rooms
        self.oracle = Oracle()
        self.senders: list[Sender] = []
        self.observers: list[Observer] = []
        self._enough = False
        self._sending: list[asyncio.Task[None]] = []
        self._watching: list[asyncio.Task[None]] = []

    def send(self, users: Iterable[str], *, heed: bool = True) -> None:
        for user in users:
            sender = Sender(self.node, user, self.oracle, self.rooms)
            run = sender.run if heed else sender.run_unheeding
            self.senders.append(sender)
            self._sending.append(asyncio.create_task(run(lambda: self._enough)))

    def observe(self, user: str, names: Iterable[str], *, resume: bool) -> None:
        for name in names:
            observer = Observer(self.node, user, self.oracle, self.rooms, name=name, resume=resume)
            self.observers.append(observer)
            self._watching.append(asyncio.create_task(observer.run()))

    async def more(self, count: int, timeout: float = 60) -> None:
        """Returns when `count` more messages have been acknowledged."""
        goal = self.oracle.acknowledged + count
        async with asyncio.timeout(timeout):
            while self.oracle.acknowledged < goal:
                self._raise()
                await asyncio.sleep(0.01)

    async def refusals(self, count: int, timeout: float = 60) -> None:
        """Returns when `count` more sends have been refused."""
        goal = sum(len(sender.refusals) for sender in self.senders) + count
        async with asyncio.timeout(timeout):
            while sum(len(sender.refusals) for sender in self.senders) < goal:
                self._raise()
                await asyncio.sleep(0.01)

    async def back(self, times: int) -> None:
        """Returns when each sender has connected so often."""
        async with asyncio.timeout(60):
            while any(sender.connections < times for sender in self.senders):
                self._raise()
                await asyncio.sleep(0.01)

    async def settle(self, *, retry: int = 10) -> None:
        """Ends the sending; some of what nobody vouches for is sent again."""
        self._enough = True
        await asyncio.gather(*self._sending)
        by_user = {sender.user: sender for sender in self.senders}
        for room, user, client_msg_id, content in self.oracle.unacknowledged()[-retry:]:
            await by_user[user].deliver(room, client_msg_id, content)

    async def judge(self) -> None:
        """Everybody has seen everything, as a fresh client reads it in the history."""
        reader = Regular(self.node, self.observers[0].user, self.oracle, self.rooms)
        client = await reader.connect()
        histories = {room: await read_history(client, room) for room in self.rooms}
        heads = {room: messages[-1]["seq"] for room, messages in histories.items() if messages}
        for observer in self.observers:
            await observer.caught_up(heads)
        self._raise()
        for room, messages in histories.items():
            self.oracle.judge(room, messages)
        await reader.close()

    async def close(self) -> None:
        self._enough = True
        regulars = (*self.senders, *self.observers)
        for regular in regulars:
            regular.over = True
        await asyncio.gather(*self._sending, *self._watching, return_exceptions=True)
        for regular in regulars:
            await regular.close()

    def _raise(self) -> None:
        for task in self._sending + self._watching:
            if task.done() and not task.cancelled():
                task.result()


@pytest.fixture
def crowd() -> Callable[..., Any]:
    """`async with crowd(node, rooms) as people:` a `Crowd`, gone at the end of the block."""

    @asynccontextmanager
    async def gather(node: AnmeiProcess, rooms: list[str]) -> AsyncIterator[Crowd]:
        people = Crowd(node, rooms)
        try:
            yield people
        finally:
            await people.close()

    return gather


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """`chaos("--minutes", "1")` starts the run; see `python -m loadtest chaos --help`."""
    started: list[Child] = []

    def start(*options: str) -> Child:
        started.append(
            Child(
                [sys.executable, "-m", "loadtest", "chaos", "--results", tmp_path, *options],
                cwd=ROOT,
            )
        )
        return started[-1]

    yield start
    for child in started:
        child.close(60)
