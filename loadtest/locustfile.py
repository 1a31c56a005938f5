"""Locust users: people who chat over WebSocket, and backends that use the HTTP API.

    JWT_SECRET=… locust -f loadtest/locustfile.py -H http://127.0.0.1:8000

The users, their tokens and their conversations are made here; the server needs to know only the
secret. `python -m loadtest locust` starts a server as well. Locust patches the standard library
for gevent, so this file stands alone and nothing else imports it.
"""

import itertools
import json
import os
import random
import secrets
import time
from typing import Any

import gevent
import jwt
import requests
import websocket
from gevent.lock import RLock
from locust import HttpUser, User, between, events, task
from locust.exception import StopUser

SECRET = os.environ.get("JWT_SECRET", "")
MEMBERS = 10
ANSWER_SECONDS = 10
#: Keeps runs, and the processes of one run, apart.
RUN = f"{os.getpid()}-{secrets.token_hex(3)}"

_people = itertools.count()
_created: set[str] = set()
_creating = RLock()


@events.test_start.add_listener
def _check(environment: Any, **_: Any) -> None:
    if len(SECRET) < 32:
        raise SystemExit("JWT_SECRET: set the secret that the server was started with")


def make_token(user_id: str, *roles: str) -> str:
    claims = {"sub": user_id, "name": user_id, "roles": list(roles), "exp": int(time.time()) + 7200}
    return jwt.encode(claims, SECRET, algorithm="HS256")


class Person:
    """One made-up user and the conversation of ten that he or she is in."""

    def __init__(self, host: str):
        number = next(_people)
        group = number // MEMBERS
        self.id = f"locust-{RUN}-{number}"
        self.token = make_token(self.id, "user")
        self.conversation_id = f"locust-{RUN}-c{group}"
        members = [f"locust-{RUN}-{group * MEMBERS + index}" for index in range(MEMBERS)]
        with _creating:
            if self.conversation_id not in _created:
                self._create(host, members)
                _created.add(self.conversation_id)

    def _create(self, host: str, members: list[str]) -> None:
        answer = requests.post(
            f"{host}/api/v1/conversations",
            json={
                "id": self.conversation_id,
                "kind": "group",
                "owner_id": members[0],
                "participant_ids": members[1:],
            },
            headers={"Authorization": f"Bearer {make_token('locust', 'service', 'admin')}"},
            timeout=30,
        )
        if answer.status_code not in (200, 201):
            raise StopUser(f"no conversation: {answer.status_code} {answer.text[:200]}")


class ChatUser(User):
    """Reads, thinks, writes. Measures the acknowledgement, and send to receive between users."""

    weight = 9
    wait_time = between(1, 5)

    def on_start(self) -> None:
        self.person = Person(self.host)
        self._numbers = itertools.count(1)
        self._waiting: dict[str, tuple[str, float]] = {}
        self._last_seq = 0
        self._connected_at = 0
        self._link: websocket.WebSocket | None = None
        self._reader: gevent.Greenlet | None = None

    def on_stop(self) -> None:
        self._disconnect()

    @task(10)
    def write(self) -> None:
        # The wall clock, since the reader may be another process.
        content = f"{time.time_ns()} " + "x" * random.randint(20, 200)
        self._ask(
            "send_message",
            conversation_id=self.person.conversation_id,
            content=content,
            client_msg_id=secrets.token_hex(8),
        )

    @task(5)
    def type(self) -> None:
        self._ask("typing", conversation_id=self.person.conversation_id, is_typing=True)

    @task(5)
    def read(self) -> None:
        if self._last_seq:
            self._ask("mark_read", conversation_id=self.person.conversation_id, seq=self._last_seq)

    @task(1)
    def scroll_back(self) -> None:
        self._ask("history", conversation_id=self.person.conversation_id, limit=50)

    def _connect(self) -> None:
        began = time.perf_counter()
        address = self.host.replace("http", "ws", 1) + "/ws/chat?device_type=web"
        try:
            self._link = websocket.create_connection(
                address, header=[f"Authorization: Bearer {self.person.token}"], timeout=60
            )
            first = self._link.recv()
        except (OSError, websocket.WebSocketException) as error:
            self._link = None
            self._fire("connect", began, 0, error)
            return
        self._connected_at = time.time_ns()
        self._fire("connect", began, len(first))
        self._reader = gevent.spawn(self._read, self._link)

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
        if self._reader is not None:
            self._reader.kill()

    def _ask(self, type: str, **data: Any) -> None:
        """Send a frame; its answer is metered by the reader, or is missing later."""
        now = time.perf_counter()
        for id, (asked, since) in list(self._waiting.items()):
            if now - since > ANSWER_SECONDS:
                del self._waiting[id]
                self._fire(asked, since, 0, TimeoutError(f"no answer in {ANSWER_SECONDS} s"))
        if self._link is None:
            self._connect()
        if self._link is None:
            return
        id = f"r{next(self._numbers)}"
        self._waiting[id] = (type, time.perf_counter())
        try:
            self._link.send(json.dumps({"type": type, "id": id, "data": data}))
        except (OSError, websocket.WebSocketException) as error:
            self._fire(*self._waiting.pop(id), 0, error)
            self._disconnect()

    def _read(self, link: websocket.WebSocket) -> None:
        try:
            while text := link.recv():
                self._take(json.loads(text), len(text))
        except (OSError, websocket.WebSocketException) as error:
            if self._link is link:
                self._fire("connection lost", time.perf_counter(), 0, error)
        if self._link is link:
            self._link = None

    def _take(self, frame: dict[str, Any], size: int) -> None:
        if frame["type"] in ("ack", "error"):
            if waiting := self._waiting.pop(frame.get("id"), None):
                error = RuntimeError(frame["error"]) if frame["type"] == "error" else None
                self._fire(*waiting, size, error)
        elif frame["type"] == "new_message":
            message = frame["data"]
            self._last_seq = max(self._last_seq, message["seq"])
            stamp = message["content"].partition(" ")[0]
            # What was sent before this user came is a replay, and its age says nothing.
            if (
                message["sender_id"] != self.person.id
                and stamp.isdigit()
                and int(stamp) > self._connected_at
            ):
                self._fire_ms("send to receive", (time.time_ns() - int(stamp)) / 1e6, size)

    def _fire(self, name: str, began: float, size: int, error: Exception | None = None) -> None:
        self._fire_ms(name, (time.perf_counter() - began) * 1000, size, error)

    def _fire_ms(self, name: str, ms: float, size: int, error: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=ms,
            response_length=size,
            exception=error,
            context={},
        )


class BackendUser(HttpUser):
    """Does over HTTP what an app's backend does for its users."""

    weight = 1
    wait_time = between(0.5, 2)

    def on_start(self) -> None:
        self.person = Person(self.host)
        self.client.headers["Authorization"] = f"Bearer {self.person.token}"
        self._messages = f"/api/v1/conversations/{self.person.conversation_id}/messages"

    @task(4)
    def send(self) -> None:
        key = secrets.token_hex(8)
        body = {"content": f"{time.time_ns()} from a backend", "client_msg_id": key}
        self.client.post(
            self._messages, json=body, headers={"Idempotency-Key": key}, name="send a message"
        )

    @task(2)
    def messages(self) -> None:
        self.client.get(f"{self._messages}?limit=50", name="read messages")

    @task(2)
    def conversations(self) -> None:
        self.client.get("/api/v1/conversations?limit=20", name="list conversations")

    @task(2)
    def unread(self) -> None:
        self.client.get("/api/v1/unread", name="unread")
