"""Regulars: devices that come back however often the server goes, as a good SDK's do.

Each notes with the oracle what it sends and what it is shown.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.httpclient import HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from tests.support.client import Client, Disconnected, RequestFailed
from tests.support.oracle import Oracle

#: What a connection does when the server is killed, stopped or drained.
BROKEN = (
    Disconnected,
    WebSocketClosedError,
    StreamClosedError,
    HTTPClientError,
    OSError,
    TimeoutError,
)
PAUSE = 0.03  # seconds between two tries to connect


class Regular:
    """One device of one user, over as many connections as it takes."""

    def __init__(self, server: Any, user: str, oracle: Oracle, rooms: Iterable[str]) -> None:
        self.server = server
        self.user = user
        self.oracle = oracle
        self.rooms = list(rooms)
        self.client: Client | None = None
        self.connections = 0
        #: Set when it shall come back no more.
        self.over = False
        self._token = server.token(user)

    async def connect(self, **options: Any) -> Client:
        """A connection, as soon as there is a server to take it."""
        while not self.over:
            try:
                client = await Client.connect(self.server.ws_url, self._token, **options)
            except BROKEN:
                await asyncio.sleep(PAUSE)
                continue
            self.client = client
            self.connections += 1
            return client
        raise Disconnected("it shall come back no more")

    async def close(self) -> None:
        if self.client is not None:
            with contextlib.suppress(Disconnected):
                await self.client.close()


class Sender(Regular):
    """Sends numbered messages, each again with the same id until it is acknowledged."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._numbers = itertools.count(1)
        self.refusals: list[RequestFailed] = []

    async def run(self, enough: Callable[[], bool]) -> None:
        """Sends to its rooms in turn, as fast as acknowledged, until `enough()`."""
        for room in itertools.cycle(self.rooms):
            if enough():
                return
            await self.deliver(room, *self.next_message(room))

    async def run_unheeding(self, enough: Callable[[], bool], batch: int = 5) -> None:
        """Sends batches without asking for an answer, until `enough()`; some are lost."""
        for room in itertools.cycle(self.rooms):
            if enough():
                return
            await asyncio.sleep(PAUSE)  # leaves the others their share of the machine
            with contextlib.suppress(*BROKEN):
                if self.client is None or self.client.closed:
                    await self.connect()
                for _ in range(batch):
                    client_msg_id, content = self.next_message(room)
                    await self.client.send(
                        "send_message",
                        {
                            "conversation_id": room,
                            "content": content,
                            "client_msg_id": client_msg_id,
                        },
                    )
                # The pong says that the batch was read, not that it was written.
                await self.client.ping()

    def next_message(self, room: str) -> tuple[str, str]:
        number = next(self._numbers)
        client_msg_id, content = f"{self.user}-{number}", f"{self.user} {number}"
        self.oracle.sending(room, self.user, client_msg_id, content)
        return client_msg_id, content

    async def deliver(self, room: str, client_msg_id: str, content: str) -> None:
        """Sends until it is acknowledged; a refusal must be one that may be tried again."""
        while True:
            try:
                if self.client is None or self.client.closed:
                    await self.connect()
                ack = await self.client.send_message(room, content, client_msg_id)
            except RequestFailed as refusal:
                if not refusal.retryable:
                    raise
                self.refusals.append(refusal)
                await asyncio.sleep(PAUSE)
            except BROKEN:
                if self.over:
                    return
                # A turn of the loop at least: the client hears of its end by it.
                await asyncio.sleep(PAUSE)
            else:
                self.oracle.acked(room, self.user, client_msg_id, ack)
                return


class Observer(Regular):
    """Notes everything it is shown. With `resume` it keeps its own places and syncs; else it has
    a `device_id`, tells the server how far it has come, and is resumed by the server."""

    def __init__(self, *args: Any, name: str, resume: bool) -> None:
        super().__init__(*args)
        self.name = name
        self.resume = resume
        self._taken = 0
        self._news = asyncio.Condition()

    async def run(self) -> None:
        """Until it is `over`."""
        while not self.over:
            with contextlib.suppress(*BROKEN):
                if self.resume:
                    client = await self.connect(resume=True)
                    self._taken = 0
                    heads = {room: self.oracle.head(self.name, room) for room in self.rooms}
                    await self._beside(client, client.sync(heads))
                else:
                    client = await self.connect(device_id=self.name)
                    self._taken = 0
                await self._watch(client)

    async def caught_up(self, heads: dict[str, int], timeout: float = 60) -> None:
        """Returns when it has been shown everything up to these numbers, or when time is up: what
        it lacks then, the oracle says."""

        def lacks() -> bool:
            return any(self.oracle.head(self.name, room) < seq for room, seq in heads.items())

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(lambda: not lacks())

    async def _beside(self, client: Client, request: Awaitable[Any]) -> None:
        try:
            await request
        finally:
            await self._note(client)

    async def _watch(self, client: Client) -> None:
        while not client.closed and not self.over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2), client._news:
                    await client._news.wait_for(
                        lambda: client.closed or len(client.events) > self._taken
                    )
            await self._note(client)
        client._check()

    async def _note(self, client: Client) -> None:
        places: dict[str, int] = {}
        for event in client.events[self._taken :]:
            if event.type != "new_message":
                continue
            message = event.data
            room = message["conversation_id"]
            if not self.resume and message["seq"] <= self.oracle.head(self.name, room):
                continue  # the server had not heard yet that this was delivered
            self.oracle.saw(self.name, message)
            places[room] = message["seq"]
        self._taken = len(client.events)
        async with self._news:
            self._news.notify_all()
        if not self.resume and not client.closed:
            for room, seq in places.items():
                await client.send("delivered", {"conversation_id": room, "seq": seq})


async def read_history(client: Client, conversation_id: str) -> list[dict[str, Any]]:
    """The whole history of a conversation, page by page."""
    messages: list[dict[str, Any]] = []
    while True:
        page = await client.request(
            "history",
            {
                "conversation_id": conversation_id,
                "after_seq": messages[-1]["seq"] if messages else 0,
                "limit": 200,
            },
        )
        messages += page["messages"]
        if not page["has_more"]:
            return messages
