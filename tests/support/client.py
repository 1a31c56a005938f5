"""A test client that speaks the wire protocol, keeps everything it sees, and judges it.

Promise P2 is checked on every event that arrives: within one conversation `change_seq` only rises,
and no message comes twice. What breaks it fails the test at the client's next step, or at the end.
"""

import asyncio
import contextlib
import itertools
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

How = Literal["header", "subprotocol", "query", "frame"]
Data = dict[str, Any]

#: Events that carry a number of their conversation, or of the inbox.
CONVERSATION_NUMBERED = ("new_message", "message_updated", "conversation_updated")
INBOX_NUMBERED = ("notification", "notification_updated", "notification_removed", "inbox_read")
#: Where a client keeps the inbox among its conversations: no id is empty.
INBOX = ""


class Event(NamedTuple):
    """One frame from the server that answers no request."""

    type: str
    data: Any
    ts: str | None


class RequestFailed(Exception):
    """An `error` frame, or the error event, as the server sent it."""

    def __init__(self, error: Data) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: str = error["code"]
        self.retryable: bool = error["retryable"]
        self.retry_after_ms: int | None = error.get("retry_after_ms")
        self.error = error


class Disconnected(Exception):
    """The connection ended while a test waited for something on it."""


class Client:
    """One device. `await Client.connect(…)`, and `await client.close()` at the end.

    Attributes: `established`, the data of `connection_established`; `events`, everything that came
    in the order it came; `close_code` and `close_reason`, once it is closed; `farewell`, the data
    of the `disconnect` frame, if one came.
    """

    def __init__(self, socket: WebSocketClientConnection, timeout: float) -> None:
        self._socket = socket
        self._stream = socket.protocol.stream
        self._timeout = timeout
        self._ids = itertools.count(1)
        self._answers: dict[str, asyncio.Future[Data]] = {}
        self._news = asyncio.Condition()
        self._taken: set[int] = set()
        self._places: dict[str, int] = {}
        self._numbers: dict[str, list[int]] = defaultdict(list)
        self._message_ids: dict[str, set[str]] = defaultdict(set)
        self._broken_promise: str | None = None
        self.events: list[Event] = []
        self.frames: list[Data] = []
        self.established: Data = {}
        self.farewell: Data | None = None
        self.closed = False
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._reader = asyncio.create_task(self._read(), name="test client")

    @classmethod
    async def connect(
        cls,
        ws_url: str,
        token: str | None,
        *,
        how: How = "header",
        device_id: str | None = None,
        device_type: str | None = None,
        resume: bool = False,
        origin: str | None = None,
        wait: bool = True,
        timeout: float = 30,
    ) -> "Client":
        """Connect and, with `wait`, take `connection_established`. `resume` means that the test
        will `sync`. Tornado's HTTPClientError when the handshake is refused."""
        query = {"device_id": device_id, "device_type": device_type}
        query |= {"resume": "client"} if resume else {}
        query |= {"token": token} if how == "query" else {}
        query = {name: value for name, value in query.items() if value is not None}
        headers = {} if origin is None else {"Origin": origin}
        if how == "header" and token is not None:
            headers["Authorization"] = f"Bearer {token}"
        socket = await websocket_connect(
            HTTPRequest(
                ws_url + (f"?{urlencode(query)}" if query else ""),
                headers=headers,
                connect_timeout=timeout,
                request_timeout=timeout,
            ),
            subprotocols=["anmei.v1", f"bearer.{token}"] if how == "subprotocol" else None,
            max_message_size=64 * 1024 * 1024,
        )
        client = cls(socket, timeout)
        if how == "frame":
            await client.send("authenticate", {"token": token})
        if wait:
            client.established = await client.expect("connection_established")
        return client

    @property
    def subprotocol(self) -> str | None:
        return self._socket.selected_subprotocol

    async def send(self, type: str, data: Data | None = None, id: str | None = None) -> None:
        """Send a frame; without `id` nothing answers it."""
        frame: Data = {"type": type, "data": data or {}}
        if id is not None:
            frame["id"] = id
        await self.send_raw(json.dumps(frame, ensure_ascii=False))

    async def send_raw(self, text: str | bytes, *, binary: bool = False) -> None:
        """Send one WebSocket message as it is."""
        self._check()
        await self._socket.write_message(text, binary)

    async def request(self, type: str, data: Data | None = None, id: str | None = None) -> Data:
        """Send a frame and await its ack; the ack's data. Raises RequestFailed on an error."""
        id = id or f"r{next(self._ids)}"
        answer = self._answers[id] = asyncio.get_running_loop().create_future()
        try:
            await self.send(type, data, id)
            async with asyncio.timeout(self._timeout):
                return await answer
        except TimeoutError:
            raise AssertionError(f"no answer to {type} {data} in {self._timeout} s") from None
        finally:
            self._answers.pop(id, None)
            self._check()

    async def send_message(
        self, conversation_id: str, content: str, client_msg_id: str | None = None, **more: Any
    ) -> Data:
        """`send_message`, and the ack's data; without `client_msg_id` a fresh one."""
        return await self.request(
            "send_message",
            {
                "conversation_id": conversation_id,
                "content": content,
                "client_msg_id": client_msg_id or f"c{id(self):x}-{next(self._ids)}",
                **more,
            },
        )

    async def sync(self, positions: dict[str, int], inbox: int | None = None) -> Data:
        """`sync`, and the data of its `sync_complete`."""
        # The client asks to see again what lies behind these places.
        places = positions if inbox is None else {**positions, INBOX: inbox}
        for conversation_id, place in places.items():
            self._places[conversation_id] = place
            self._message_ids.pop(conversation_id, None)
            self._numbers.pop(conversation_id, None)
        more = {} if inbox is None else {"inbox": inbox}
        await self.request("sync", {"positions": positions, **more})
        return await self.expect("sync_complete")

    async def ping(self, data: Any = None) -> Data:
        """A `ping` and its `pong`: whatever the server did before the pong has arrived."""
        return await self.request("ping", {} if data is None else data)

    async def expect(self, type: str, *, timeout: float | None = None, **match: Any) -> Any:
        """The data of the first event of this type, not yet taken by another `expect`, whose data
        has all of `match`; waits for it where it has not come."""
        return await self._find(
            lambda event: event.type == type and _matches(event.data, match),
            f"{type} {match or ''}",
            timeout,
        )

    async def expect_error(self, code: str, *, timeout: float | None = None) -> Data:
        """The `error` of the first error frame that answers no request of this client."""
        data = await self._find(
            lambda event: event.type == "error" and event.data["code"] == code,
            f"error {code}",
            timeout,
        )
        return data

    async def expect_nothing(self, type: str, **match: Any) -> None:
        """Fail if such an event came, not yet taken, by the time the server answers a ping."""
        await self.ping()
        found = [
            event
            for number, event in enumerate(self.events)
            if number not in self._taken and event.type == type and _matches(event.data, match)
        ]
        assert not found, f"unexpected: {found}"

    async def expect_close(self, code: int | None = None, timeout: float | None = None) -> int:
        """Wait until the server has closed; the close code, which must be `code` if given."""
        try:
            async with asyncio.timeout(timeout or self._timeout), self._news:
                await self._news.wait_for(lambda: self.closed)
        except TimeoutError:
            raise AssertionError(f"not closed; seen: {self._tail()}") from None
        assert code is None or self.close_code == code, (
            f"expected close {code}, got {self.close_code} {self.close_reason!r}"
        )
        assert self.close_code is not None, "the connection was cut without a close frame"
        return self.close_code

    def of_type(self, type: str, **match: Any) -> list[Any]:
        """The data of every such event so far."""
        return [
            event.data
            for event in self.events
            if event.type == type and _matches(event.data, match)
        ]

    def messages(self, conversation_id: str) -> list[Data]:
        """Every `new_message` of a conversation so far, in the order it came."""
        return self.of_type("new_message", conversation_id=conversation_id)

    def place(self, conversation_id: str = INBOX) -> int:
        """The highest `change_seq` seen in a conversation: what a real client would sync from."""
        return self._places.get(conversation_id, 0)

    def gaps(self, conversation_id: str = INBOX) -> list[int]:
        """Numbers between the first and the last `change_seq` seen that never came."""
        seen = self._numbers[conversation_id]
        return sorted(set(range(seen[0], seen[-1] + 1)) - set(seen)) if seen else []

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close as a well-behaved client does, and fail on a broken promise."""
        if not self.closed:
            self._socket.close(code, reason)
        await self._finish()
        self._check()

    async def abort(self) -> None:
        """Cut the TCP connection without a close frame, as a phone in a tunnel does."""
        self._stream.close()
        await self._finish()

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.shield(self._reader)
        except TimeoutError:
            self._stream.close()
            await self._reader

    async def _read(self) -> None:
        while (text := await self._socket.read_message()) is not None:
            await self._take(json.loads(text))
        self.closed = True
        self.close_code = self._socket.close_code
        self.close_reason = self._socket.close_reason
        # Tornado wants its connection closed by its owner, whoever ended it.
        self._socket.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Disconnected(f"closed with {self.close_code}"))
        async with self._news:
            self._news.notify_all()

    async def _take(self, frame: Data) -> None:
        self.frames.append(frame)
        answer = self._answers.get(frame.get("id", ""))
        if answer is not None and not answer.done():
            if frame["type"] == "error":
                answer.set_exception(RequestFailed(frame["error"]))
            else:
                answer.set_result(frame.get("data"))
            return
        data = frame["error"] if frame["type"] == "error" else frame.get("data")
        event = Event(frame["type"], data, frame.get("ts"))
        # What a backend publishes as a `notification` has no number.
        if event.type in CONVERSATION_NUMBERED or (
            event.type in INBOX_NUMBERED and "change_seq" in event.data
        ):
            self._judge(event)
        if event.type == "disconnect":
            self.farewell = event.data
        async with self._news:
            self.events.append(event)
            self._news.notify_all()

    def _judge(self, event: Event) -> None:
        conversation_id, number = event.data["conversation_id"] or INBOX, event.data["change_seq"]
        place = self._places.get(conversation_id, 0)
        if event.data.get("resent") and number <= place:
            return  # sent again since it was not acknowledged in time: a client drops it
        if number <= place:
            self._broken_promise = (
                f"{conversation_id}: {event.type} {number} came after {place}: {event.data}"
            )
        if event.type in ("new_message", "notification"):
            if event.data["id"] in self._message_ids[conversation_id]:
                self._broken_promise = f"{conversation_id}: a message came twice: {event.data}"
            self._message_ids[conversation_id].add(event.data["id"])
        self._places[conversation_id] = max(place, number)
        self._numbers[conversation_id].append(number)

    def _check(self) -> None:
        assert self._broken_promise is None, f"P2 is broken: {self._broken_promise}"

    async def _find(self, wanted: Callable[[Event], bool], what: str, timeout: float | None) -> Any:
        start = 0

        def look() -> Any:
            nonlocal start
            for number in range(start, len(self.events)):
                if number not in self._taken and wanted(self.events[number]):
                    self._taken.add(number)
                    return self.events[number]
            start = len(self.events)
            return True if self.closed else None

        try:
            async with asyncio.timeout(timeout or self._timeout), self._news:
                found = await self._news.wait_for(look)
        except TimeoutError:
            self._check()
            raise AssertionError(f"no {what} came; seen: {self._tail()}") from None
        self._check()
        if found is True:
            raise Disconnected(
                f"closed with {self.close_code} while waiting for {what}; seen: {self._tail()}"
            )
        return found.data

    def _tail(self) -> list[Event]:
        return self.events[-10:]


def _matches(data: Any, match: Data) -> bool:
    return all(isinstance(data, dict) and data.get(name) == match[name] for name in match)


class Clients:
    """Connects devices for one test and closes all of them at its end."""

    def __init__(self, wrap: Callable[..., Awaitable[Client]] = Client.connect) -> None:
        self._connect = wrap
        self._clients: list[Client] = []

    async def __call__(self, server: Any, user: str, **options: Any) -> Client:
        """A device of `user` on `server` (an AnmeiProcess, or anything with `ws_url` and
        `token`), at `/ws/chat` or the path `door`. Options of `make_token` (`roles`, `ttl`,
        `tenant`, `name`) may be among them."""
        token = options.pop("token", None) or server.token(
            user, **{key: options.pop(key) for key in TOKEN_OPTIONS if key in options}
        )
        url = server.ws_url.removesuffix("/ws/chat") + options.pop("door", "/ws/chat")
        client = await self._connect(url, token, **options)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        clients, self._clients = self._clients, []
        problems = []
        for client in clients:
            with contextlib.suppress(Disconnected):
                try:
                    await client.close()
                except AssertionError as problem:
                    problems.append(str(problem))
        assert not problems, "\n".join(problems)


TOKEN_OPTIONS = ("roles", "ttl", "tenant", "name")
