"""A client that behaves as docs/protocol.md asks, sends numbered messages, and notes everything.

It keeps its positions and syncs with them, keeps what it sent until it is acknowledged and sends it
again under the same id, and comes back as the range of the close code says.
"""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from typing import Any

from loadtest.chaos.journal import Journal
from loadtest.chaos.websocket import Closed, Refused, WebSocket

TICK = 0.05  # seconds between two looks at the outbox
PATIENCE = 5.0  # seconds without an answer after which a message is sent again
SILENCE = 5.0  # seconds after which a client asks whether anybody is there, and waits again
RECEIPTS = 2.0  # seconds between two reports of what was delivered
LONGEST_OUTBOX = 50


class Client:
    """One device of one user."""

    def __init__(
        self,
        name: str,
        token: str,
        urls: list[str],
        home: int,
        rooms: list[str],
        journal: Journal,
        rate: float,
        chance: random.Random,
    ) -> None:
        """`home` is the index of the URL it tries first; `rate` is messages a second."""
        self.name = name
        self.rooms = rooms
        self.talking = True
        #: Set: come back without the pause that the protocol asks for.
        self.hurry = False
        self.stalled_until = 0.0
        self.connections = 0
        self.acknowledged = 0
        #: The longest time from a message to its acknowledgement.
        self.slowest = 0.0
        self.positions: dict[str, int] = {}
        self.synced = False
        self.outbox: dict[str, dict[str, Any]] = {}
        self.banned = False
        self._token = token
        self._urls = urls
        self._home = home
        self._journal = journal
        self._rate = rate
        self._chance = chance
        self._due: dict[str, float] = {}
        self._sent_at: dict[str, float] = {}
        self._socket: WebSocket | None = None
        self._reconnect = {"base_delay_ms": 500, "max_delay_ms": 30_000}
        self._count = 0

    async def run(self) -> None:
        """Until it is cancelled, or told not to come back."""
        talk = asyncio.create_task(self._talk())
        failures = 0
        try:
            while not self.banned:
                url = (self._home + failures) % len(self._urls)
                before = self.connections
                pause = await self._visit(url)
                failures = 0 if self.connections > before else failures + 1
                if pause is None:
                    longest = self._reconnect["base_delay_ms"] * 2 ** min(failures, 20)
                    pause = (
                        self._chance.uniform(0, min(self._reconnect["max_delay_ms"], longest))
                        / 1000
                    )
                if not self.hurry:
                    await asyncio.sleep(pause)
                self.hurry = False
        finally:
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)

    def cut(self) -> None:
        """Break the connection, without a word."""
        if self._socket is not None:
            self._note("cut")
            self._socket.abort()

    def holds(self, heads: dict[str, int]) -> bool:
        """Whether it has come as far as these."""
        return all(self.positions.get(room, 0) >= heads.get(room, 0) for room in self.rooms)

    async def _visit(self, url: int) -> float | None:
        """One connection, or one try; the seconds to wait before the next, None: a backoff."""
        path = f"/ws/chat?resume=client&device_id={self.name}"
        try:
            socket = await WebSocket.connect(self._urls[url], path, self._token)
        except Refused as error:
            self._note("turned away", status=error.status, node=url)
            return error.retry_after
        except (OSError, TimeoutError) as error:
            self._note("not connected", node=url, why=type(error).__name__)
            return None
        self._socket = socket
        retry_after: float | None = None
        session = Session(self, socket)
        tend = asyncio.create_task(self._tend(session))
        try:
            await session.run(url)
        except Closed as end:
            code = end.code
            if session.farewell is not None:
                code = session.farewell["code"]
                if session.farewell["retry_after_ms"] is not None:
                    retry_after = session.farewell["retry_after_ms"] / 1000
            self._note("closed", code=code)
            if 4000 <= code < 4100:
                self._note("sent away", code=code)
                self.banned = True
            elif 4200 <= code < 4300 and session.established:
                retry_after = 0.0
        except TimeoutError:
            self._note("gave up", why="nothing was heard")
        finally:
            self.synced = False
            self._socket = None
            tend.cancel()
            await asyncio.gather(tend, return_exceptions=True)
            socket.abort()
        return retry_after

    async def _talk(self) -> None:
        while True:
            await asyncio.sleep(self._chance.expovariate(self._rate))
            if not self.talking or len(self.outbox) >= LONGEST_OUTBOX:
                continue
            self._count += 1
            id, room = f"{self.name}-{self._count}", self._chance.choice(self.rooms)
            self.outbox[id] = {"conversation_id": room, "content": id, "client_msg_id": id}
            self._due[id] = 0.0
            self._sent_at[id] = time.monotonic()
            self._note("send", id=id, room=room)

    async def _tend(self, session: "Session") -> None:
        """Sends what is due, and from time to time how far everything was received."""
        for id in self._due:
            self._due[id] = 0.0
        reported = dict(self.positions)
        next_report = time.monotonic() + RECEIPTS
        while True:
            now = time.monotonic()
            if session.established:
                for id, message in self.outbox.items():
                    if self._due[id] <= now:
                        self._due[id] = now + PATIENCE
                        self._note("try", id=id)
                        session.send("send_message", message, id)
            if self.synced and now >= next_report:
                next_report = now + RECEIPTS
                for room, seq in self.positions.items():
                    if seq > reported.get(room, 0):
                        session.send("delivered", {"conversation_id": room, "seq": seq})
                reported = dict(self.positions)
            await asyncio.sleep(TICK)

    # What the session tells

    def answered(self, id: str, data: dict[str, Any]) -> None:
        self._note(
            "ack", id=id, message=data["message_id"], seq=data["seq"], again=data["duplicate"]
        )
        if self.outbox.pop(id, None) is not None:
            self.acknowledged += 1
            self.slowest = max(self.slowest, time.monotonic() - self._sent_at.pop(id))
            self._due.pop(id)

    def failed(self, id: str, error: dict[str, Any]) -> None:
        self._note("failed", id=id, code=error["code"])
        if id not in self.outbox:
            return
        if error["retryable"]:
            self._due[id] = time.monotonic() + error.get("retry_after_ms", 300) / 1000
        else:
            self._note("refused", id=id, code=error["code"])
            self.outbox.pop(id)
            self._due.pop(id)

    def established(self, data: dict[str, Any], url: int) -> None:
        self.connections += 1
        self._reconnect = data["reconnect"]
        self._note("connected", node=url)
        new = {
            head["conversation_id"]: head["change_seq"]
            for head in data["conversations"]
            if head["conversation_id"] not in self.positions
        }
        if new:
            self._note("start", positions=new)
            self.positions.update(new)

    def _note(self, what: str, **more: object) -> None:
        self._journal.note(self.name, what, **more)


class Session:
    """One connection of a client, from `connection_established` to its end."""

    def __init__(self, client: Client, socket: WebSocket) -> None:
        self.established = False
        self.farewell: dict[str, Any] | None = None
        self._client = client
        self._socket = socket
        self._note = client._note
        #: Whether the server has answered `sync`: what came before it was not asked for.
        self._answered = False
        self._replayed: Counter[str] = Counter()
        #: Where the positions stood when `sync` was sent.
        self._asked: dict[str, int] = {}
        #: Ids of `history` requests for what a reset left out: room and where to end.
        self._pages: dict[str, tuple[str, int]] = {}

    def send(self, type: str, data: dict[str, Any], id: str | None = None) -> None:
        frame = (
            {"type": type, "data": data} if id is None else {"type": type, "id": id, "data": data}
        )
        self._socket.send(json.dumps(frame))

    async def run(self, url: int) -> None:
        """Until it ends. Raises Closed, or TimeoutError when nobody is there any more."""
        asked = False
        while True:
            if (rest := self._client.stalled_until - time.monotonic()) > 0:
                await asyncio.sleep(rest)
            try:
                async with asyncio.timeout(SILENCE):
                    raw = await self._socket.receive()
            except TimeoutError:
                if asked or not self.established:
                    raise
                asked = True
                self.send("ping", {}, "alive?")
                continue
            asked = False
            self._take(json.loads(raw), url)

    def _take(self, frame: dict[str, Any], url: int) -> None:
        client = self._client
        kind, id = frame["type"], frame.get("id")
        if kind == "connection_established":
            client.established(frame["data"], url)
            self._asked = dict(client.positions)
            self.send("sync", {"positions": client.positions}, "sync")
            self.established = True
        elif kind == "ack" and id == "sync":
            self._answered = True
        elif kind == "ack" and id in self._pages:
            self._page(id, frame["data"])
        elif kind == "ack" and id is not None:
            client.answered(id, frame["data"])
        elif kind == "error":
            self._fail(id, frame["error"])
        elif kind == "new_message" or "change_seq" in (frame.get("data") or ()):
            self._event(kind, frame["data"])
        elif kind == "sync_complete":
            self._complete(frame["data"]["conversations"])
        elif kind == "disconnect":
            self.farewell = frame["data"]

    def _fail(self, id: str | None, error: dict[str, Any]) -> None:
        if id in self._pages:
            room, end = self._pages.pop(id)
            self._ask_page(room, int(id.rpartition(":")[2]), end)
        elif id is None or id == "sync":
            # Where the database fails under a sync, it is to be asked for again.
            self._note("failed", id=id, code=error["code"])
            if not self._client.synced and error["code"] != "rate_limited":
                asyncio.get_running_loop().call_later(0.5, self._sync_again)
        else:
            self._client.failed(id, error)

    def _sync_again(self) -> None:
        if self._client.synced:
            return
        self._replayed.clear()
        self._asked = dict(self._client.positions)
        self.send("sync", {"positions": self._client.positions}, "sync")

    def _event(self, kind: str, data: dict[str, Any]) -> None:
        room, seq = data["conversation_id"], data["change_seq"]
        if data.get("resent") and seq <= self._client.positions.get(room, 0):
            return  # it is held, and its acknowledgement was lost
        if not self._answered:
            self._note("early", room=room, seq=seq)
            return
        self._replayed[room] += 1
        if kind == "new_message":
            id = data["client_msg_id"]
            self._note("got", room=room, seq=data["seq"], message=data["id"], id=id)
            if data["content"] != id:
                self._note("miscounted", room=room, text=f"{id} says {data['content'][:80]!r}")
        self._client.positions[room] = max(seq, self._client.positions.get(room, 0))

    def _complete(self, conversations: dict[str, dict[str, Any]]) -> None:
        positions = self._client.positions
        for room, line in conversations.items():
            count = self._replayed[room]
            if not self._client.synced and count < line["count"]:
                text = f"{line}, and {count} came"
                self._note("miscounted", room=room, text=text)
            if line["reset"]:
                self._note("reset", room=room, **{"from": line["from"], "to": line["to"]})
                self._ask_page(room, self._asked.get(room, 0), line["from"])
            positions[room] = max(positions.get(room, 0), line["to"])
        self._client.synced = True
        self._note("synced")

    def _ask_page(self, room: str, after: int, end: int) -> None:
        id = f"page:{room}:{after}"
        self._pages[id] = room, end
        self.send("history", {"conversation_id": room, "after_seq": after, "limit": 200}, id)

    def _page(self, id: str, data: dict[str, Any]) -> None:
        room, end = self._pages.pop(id)
        last = end
        for message in data["messages"]:
            last = message["seq"]
            if last <= end:
                of = message["client_msg_id"]
                self._note("paged", room=room, seq=last, message=message["id"], id=of)
        if data["has_more"] and last < end:
            self._ask_page(room, last, end)


async def read_store(url: str, token: str, rooms: list[str], journal: Journal) -> dict[str, int]:
    """Notes the whole history of the rooms as a fresh client reads it; the last seq of each.

    Raises OSError, TimeoutError, Closed or Refused where it cannot be read.
    """
    socket = await WebSocket.connect(url, "/ws/chat?resume=client", token)
    heads = {}
    try:
        for room in rooms:
            heads[room] = 0
            while await _read_page(socket, room, heads, journal):
                pass
    finally:
        with contextlib.suppress(Closed):
            await socket.close()
    return heads


async def _read_page(socket: WebSocket, room: str, heads: dict[str, int], journal: Journal) -> bool:
    data = {"conversation_id": room, "after_seq": heads[room], "limit": 200}
    id = f"{room}:{heads[room]}"
    socket.send(json.dumps({"type": "history", "id": id, "data": data}))
    async with asyncio.timeout(10):
        while (frame := json.loads(await socket.receive())).get("id") != id:
            pass
    if frame["type"] == "error":
        raise ConnectionError(f"history of {room}: {frame['error']}")
    for message in frame["data"]["messages"]:
        heads[room] = message["seq"]
        of = message["client_msg_id"]
        journal.note(
            "reader", "stored", room=room, seq=message["seq"], message=message["id"], id=of
        )
    return bool(frame["data"]["has_more"])
