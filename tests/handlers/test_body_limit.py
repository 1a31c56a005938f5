"""Large bodies are kept for those alone who may send them."""

from collections.abc import Callable

import pytest

from handlers.body_limit import STRANGER_BYTES
from tests.handlers.api_routes import calls, check_error
from tests.support.process import AnmeiProcess
from tests.support.raw_socket import RawSocket

PATH = "/api/v1/conversations"
LARGE = 1_000_000
WAITING = 60  # connections that send a body and not its end


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei()


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
@pytest.mark.parametrize("path", [PATH, "/healthz", "/absent", "/ws/chat", "/demo/sign-in"])
async def test_the_body_of_a_stranger_takes_no_memory(server, as_, path, method) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE + 1}\r\n"
    crowd = [await RawSocket.dial(server.port) for _ in range(WAITING)]
    before = server.rss()
    for raw in crowd:
        await raw.send_bytes(head.encode() + b"Content-Type: application/json\r\n\r\n")
        await raw.send_bytes(b" " * LARGE)
    # In each turn of its loop the server reads some of all that has come, and it needs a turn or
    # more for each of these.
    for _ in range(40):
        assert (await as_(None).get("/healthz")).status == 200
    assert server.rss() - before < WAITING * LARGE / 4
    for raw in crowd:
        await raw.close()


async def test_who_may_not_ask_is_told_so_at_the_end_of_a_large_body(server, as_) -> None:
    large = b" " * LARGE
    for method, path in calls(("user", "service", "admin")):
        if method != "HEAD":
            answer = await as_(None).request(method, path, raw=large)
            check_error(answer, 401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    for method, path in calls(("admin",)):
        if method != "HEAD":
            check_error(await as_("alice").request(method, path, raw=large), 403, "forbidden")


async def test_who_may_ask_is_heard_to_the_end(as_) -> None:
    body = b'{"kind":"group","id":"large"' + b" " * LARGE + b"}"
    assert (await as_("alice").post(PATH, raw=body)).status == 201


async def test_where_nobody_is_asked_for_a_token_bodies_are_small(as_) -> None:
    body = b'{"name":"Ada"' + b" " * STRANGER_BYTES + b"}"
    answer = await as_(None).post("/demo/sign-in", raw=body)
    assert str(STRANGER_BYTES) in check_error(answer, 413, "too_large")["message"]


async def test_a_chunked_body_of_a_stranger_is_refused_as_well(server) -> None:
    raw = await RawSocket.dial(server.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked"
    chunk = b"8000\r\n" + b" " * 32_768 + b"\r\n"
    await raw.send_bytes(head.encode() + b"\r\n\r\n" + chunk * 4 + b"0\r\n\r\n")
    answer = await raw.read_end(timeout=30)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"code":"unauthorized"' in answer
    await raw.close()
