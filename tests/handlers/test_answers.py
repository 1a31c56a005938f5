"""Whatever goes wrong is answered, in one shape, and tells a stranger nothing."""

from collections.abc import Callable

import pytest

from tests.handlers.api_routes import check_error
from tests.support.http import Http
from tests.support.process import AnmeiProcess
from tests.support.raw_socket import RawSocket


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei({"ANMEI_LIMIT_BODY_BYTES": "2048"})


async def exchange(server: AnmeiProcess, request: bytes) -> bytes:
    """What comes back for these bytes until the server hangs up; nothing where it did so before it
    had read all of them, and its answer was lost with the connection."""
    raw = await RawSocket.dial(server.port)
    await raw.send_bytes(request)
    answer = await raw.read_end(timeout=30)
    await raw.close()
    return answer


def head(server: AnmeiProcess, *lines: str, method: str = "POST") -> bytes:
    token = server.token("alice")
    first = f"{method} /api/v1/conversations HTTP/1.1"
    fixed = (first, "Host: x", f"Authorization: Bearer {token}", "Content-Type: application/json")
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


async def test_a_failure_of_the_server_says_nothing_but_where_to_look(anmei, postgres) -> None:
    url = postgres.create_database()
    server = anmei({"DATABASE_URL": url})
    server.expects_log("failed|Traceback|Error")
    database = url.partition("@/")[2].partition("?")[0]
    postgres.execute("ALTER TABLE participants RENAME TO gone", database=database)
    client = Http(server.url, server.token("alice"))
    answer = await client.get("/api/v1/conversations")
    error = check_error(answer, 500, "internal")
    assert error["retryable"] is True
    for secret in ("participants", "Traceback", "psycopg2", ".py"):
        assert secret not in str(answer.body)
    server.child.wait_for_line(f"ERROR anmei.http {error['request_id']} failed: ")
    client.close()
    server.close()
    postgres.drop_database(url)


async def test_a_chunked_body_over_the_limit_is_answered_too(server) -> None:
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    request = head(server, "Transfer-Encoding: chunked", "Connection: close")
    answer = await exchange(server, request + chunk * 4 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"too_large"' in answer
    answer = await exchange(server, request + b'10\r\n{"kind":"group"}\r\n0\r\n\r\n')
    assert answer.startswith(b"HTTP/1.1 201 ")


async def test_headers_and_bodies_without_end_end_the_connection(server) -> None:
    answer = await exchange(server, head(server, "X-Long: " + "x" * 70_000, method="GET"))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    request = head(server, "Content-Length: 99999999999")
    assert (await exchange(server, request)).startswith(b"HTTP/1.1 400 ")
    answer = await exchange(server, head(server, "Connection: close", method="GET"))
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_request_that_two_servers_may_read_differently_is_refused(server) -> None:
    body = b'{"kind":"group"}'
    for lines in (
        ("Content-Length: 16", "Transfer-Encoding: chunked"),
        ("Content-Length: 16", "Content-Length: 5"),
        ("Content-Length: +16",),
        ("Transfer-Encoding: xchunked",),
        ("Content-Length: 16", "X-A: b\r\n folded", "Content-Length: 0"),
        ("Content-Length: 16", "X-\x00: b"),
    ):
        answer = await exchange(server, head(server, *lines) + body)
        assert answer.startswith(b"HTTP/1.1 400 "), (lines, answer)
        assert answer.count(b"HTTP/1.1") == 1


async def test_the_websocket_doors_refuse_in_the_same_shape(server) -> None:
    client = Http(server.url, server.token("alice"))
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    for path in ("/ws/chat", "/ws/chat/session/room"):
        check_error(await client.get(path), 400, "bad_request")
        answer = await client.get(path, headers={**upgrade, "Origin": "https://evil.example"})
        check_error(answer, 403, "forbidden")
        answer = await client.post(path, {})
        check_error(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET, OPTIONS"
    client.close()
