"""A server that says what a script tells it to: what clients do about refusals and farewells.

A real server refuses now and then; here each kind comes when a test wants it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.support.ports import free_port

Data = dict[str, Any]


class Scripted:
    """What the clients of a script did: `frames` in the order they came, over all connections.
    `url` is the door, `page` an empty page beside it."""

    def __init__(self, port: int) -> None:
        self.page = f"http://127.0.0.1:{port}/"
        self.url = f"ws://127.0.0.1:{port}/ws/chat"
        self.frames: list[Data] = []
        self.connections = 0
        self._news = asyncio.Condition()

    def of(self, type: str) -> list[Data]:
        return [frame for frame in self.frames if frame["type"] == type]

    async def note(self, frame: Data) -> None:
        async with self._news:
            self.frames.append(frame)
            self._news.notify_all()

    async def until(self, type: str, count: int, timeout: float = 60) -> list[Data]:
        """The first `count` frames of a type, as soon as so many have come."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: len(self.of(type)) >= count)
        return self.of(type)[:count]


class Line:
    """One connection, seen from the server."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def say(self, type: str, data: Any = None, **more: Any) -> None:
        body = {} if data is None else {"data": data}
        await self._socket.send(json.dumps({"type": type, **body, **more}))

    async def refuse(self, code: str, id: str | None = None, wait_ms: int | None = None) -> None:
        """An error, retryable where it says how long to wait."""
        error = {"code": code, "message": f"it is {code}", "retryable": wait_ms is not None}
        if wait_ms is not None:
            error["retry_after_ms"] = wait_ms
        await self.say("error", **({} if id is None else {"id": id}), error=error)

    async def accept(self, frame: Data) -> None:
        """Does what was asked, as a server with one conversation `team` and nothing in it."""
        data, id = frame["data"], frame.get("id")
        if frame["type"] == "sync":
            await self.say("ack", {}, id=id)
            line = {"from": 1, "to": 1, "count": 0, "reset": False}
            await self.say("sync_complete", {"conversations": {"team": line}, "inbox": None})
        elif frame["type"] == "send_message":
            numbers = {"seq": 2, "change_seq": 2, "conversation_id": "team"}
            await self.say("ack", {**numbers, "message_id": "msg_1"}, id=id)
            await self.say("new_message", {**data, **numbers, "sender_name": "Alice"})

    async def end(self, code: int, reason: str, reconnect: bool) -> None:
        farewell = {"code": code, "reason": reason, "reconnect": reconnect, "retry_after_ms": None}
        await self.say("disconnect", farewell)
        await self._socket.close(code, reason)


Script = Callable[[Line, Data], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(
    script: Script, *, welcome: bool = True, tops: Sequence[int] = (1,)
) -> AsyncIterator[Scripted]:
    """A server that greets each connection (or, without `welcome`, ends it with 4001), and hands
    every frame to `script`. `tops` are what the head says as `change_seq`, one connection after
    the other; the last one stays."""

    async def handle(socket: ServerConnection) -> None:
        line = Line(socket)
        server.connections += 1
        if not welcome:
            await line.end(4001, "the token has expired", reconnect=False)
            return
        top = tops[min(server.connections, len(tops)) - 1]
        head = {"conversation_id": "team", "change_seq": top}
        await line.say("connection_established", {"conversations": [head]})
        with contextlib.suppress(ConnectionClosed):  # a client that is killed says no goodbye
            async for raw in socket:
                frame = json.loads(raw)
                await server.note(frame)
                await script(line, frame)

    def select(socket: ServerConnection, offered: Sequence[str]) -> str | None:
        return "anmei.v1" if "anmei.v1" in offered else None

    def page(socket: ServerConnection, request: Request) -> Response | None:
        # A browser connects from a page of this machine only.
        if request.path != "/":
            return None
        response = socket.respond(200, "<!doctype html>")
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "text/html"
        return response

    port = free_port()
    server = Scripted(port)
    door = serve(handle, "127.0.0.1", port, select_subprotocol=select, process_request=page)
    async with door:
        yield server


class Refusals:
    """A script: the first `sync` is refused with an id and the first sends with and without one,
    each to be tried again, and only then all is accepted."""

    def __init__(self) -> None:
        self._left = {
            "sync": [("overloaded", True)],
            "send_message": [("unavailable", True), ("rate_limited", False)],
        }

    async def __call__(self, line: Line, frame: Data) -> None:
        left = self._left.get(frame["type"])
        if left:
            code, with_id = left.pop(0)
            await line.refuse(code, frame["id"] if with_id else None, wait_ms=50)
        else:
            await line.accept(frame)


async def live_at_once(line: Line, frame: Data) -> None:
    """A script: something is said behind the replay and before that is declared over, and then the
    connection ends, to be made again."""
    if frame["type"] == "sync":
        await line.say("ack", {}, id=frame["id"])
        numbers = {"conversation_id": "team", "seq": 3, "change_seq": 3}
        await line.say("new_message", {**numbers, "sender_name": "Bob", "content": "so soon"})
        replay = {"from": 1, "to": 1, "count": 0, "reset": False}
        await line.say("sync_complete", {"conversations": {"team": replay}, "inbox": None})
        await line.end(4200, "come back", reconnect=True)


async def never_there(line: Line, frame: Data) -> None:
    """A script: there is no such conversation."""
    if frame["type"] == "send_message":
        await line.refuse("not_found", frame["id"])
    else:
        await line.accept(frame)
