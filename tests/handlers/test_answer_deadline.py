"""Whoever does not read an answer is not waited for."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest
from tornado.iostream import IOStream

from handlers.answer_deadline import LEAST_TAKEN, AnswerDeadline
from tests.support.http import Http
from tests.support.raw_socket import RawSocket

LARGE = {"ANMEI_LIMIT_CONTENT_BYTES": "900000", "ANMEI_LIMIT_FRAME_BYTES": "1000000"}
PATIENCE = 0.3  # seconds
SIZE = 4_000_000  # more than the kernel takes for a peer that does not read


@pytest.fixture
def pair(io_loop):
    """A stream, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    stream = IOStream(ours)
    theirs.setblocking(False)
    yield stream, theirs
    stream.close()
    theirs.close()


class Timer:
    """All that is asked of a loop: timers, which go off when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def go_off(self) -> None:
        self.due.pop()()


def write(stream: IOStream, size: int, timer: Timer | None = None) -> asyncio.Future:
    written = stream.write(b"x" * size)
    AnswerDeadline(stream, PATIENCE, timer or asyncio.get_running_loop())
    return written


async def take(theirs: socket.socket, size: int) -> None:
    loop = asyncio.get_running_loop()
    while size > 0:
        size -= len(await loop.sock_recv(theirs, min(size, 65_536)))


async def closing(stream: IOStream) -> None:
    closed = asyncio.Event()
    stream.set_close_callback(closed.set)
    async with asyncio.timeout(30):
        await closed.wait()


async def test_an_answer_that_nobody_reads_ends_the_connection(pair) -> None:
    stream, _ = pair
    written = write(stream, SIZE)
    await closing(stream)
    assert written.exception() is not None


async def test_a_client_that_reads_slowly_gets_it_all(pair) -> None:
    stream, theirs = pair
    timer = Timer()
    written = write(stream, SIZE, timer)
    for _ in range(6):
        await take(theirs, SIZE // 8)
        timer.go_off()
        assert not stream.closed()
    await take(theirs, SIZE - 6 * (SIZE // 8))
    await written
    timer.go_off()
    assert timer.due == []


async def test_a_client_that_takes_a_drop_now_and_then_is_not_waited_for(pair) -> None:
    stream, theirs = pair
    write(stream, SIZE)
    gone = asyncio.ensure_future(closing(stream))
    while not gone.done():
        with contextlib.suppress(ConnectionError):
            await take(theirs, LEAST_TAKEN // 64)
        await asyncio.wait([gone], timeout=PATIENCE / 8)
    await gone


async def test_an_answer_that_was_read_is_not_measured_by_a_later_one(pair) -> None:
    stream, theirs = pair
    timer = Timer()
    await asyncio.gather(write(stream, SIZE, timer), take(theirs, SIZE))
    written = stream.write(b"x" * SIZE)
    timer.go_off()
    assert timer.due == []
    assert not stream.closed()
    await take(theirs, SIZE)
    await written


async def test_the_server_lets_go_of_answers_that_are_not_read(anmei) -> None:
    server = anmei({"ANMEI_ANSWER_TIMEOUT": "2000", **LARGE})
    token = server.token("alice")
    alice = Http(server.url, token)
    await alice.post("/api/v1/conversations", {"kind": "group", "id": "c"})
    path = "/api/v1/conversations/c/messages"
    for _ in range(10):
        assert (await alice.post(path, {"content": "x" * 900_000})).status == 201
    alice.close()
    raw = await RawSocket.dial(server.port, receive_buffer=4_096)
    raw.stop_reading()
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    # A page is one such message; the kernel takes some of the answers for a peer that never reads.
    await raw.send_bytes(request.encode() * 10)
    server.child.wait_for_line("an answer was left unread")
    raw.go_on_reading()
    assert len(await raw.read_end(timeout=30)) < 9_000_000
    await raw.close()
