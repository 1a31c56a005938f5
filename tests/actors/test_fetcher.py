"""The server fetches pages of the public internet, a bounded part of each, and nothing else."""

import asyncio
import contextlib
import gzip
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import actors.fetcher
from actors.fetcher import MAX_BYTES, Fetcher
from anmei.outward import Refused

HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=GBK\r\n"

#: What a server does with one connection, given the request as it came.
Answer = Callable[[bytes, asyncio.StreamWriter], Any]


class AnyPort:
    """For servers of a test, which listen where there is room."""

    def __contains__(self, port: object) -> bool:
        return True


class Site:
    """A server on loopback that answers everything in one way."""

    def __init__(self, answer: bytes | Answer) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self.port = 0
        #: Set when a peer has hung up.
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            if callable(self._answer):
                await self._answer(request, writer)
            else:
                writer.write(self._answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.left.set()


@asynccontextmanager
async def site(answer: bytes | Answer) -> AsyncIterator[Site]:
    made = Site(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


def opened(allowed: Callable[[str], bool] = lambda address: True, seconds: float = 30) -> Fetcher:
    """A fetcher that goes to the servers of these tests too, and has time for a busy machine."""
    return Fetcher(allowed=allowed, ports=AnyPort(), seconds=seconds)


async def test_a_page_is_fetched_and_nothing_of_ours_is_sent() -> None:
    async with site(HTML + b"Content-Length: 5\r\n\r\nhello") as at:
        page = await opened().fetch(f"http://127.0.0.1:{at.port}/a?b=c#d")
    assert (page.content, page.charset) == (b"hello", "GBK")
    assert page.url == f"http://127.0.0.1:{at.port}/a?b=c"
    (request,) = at.requests
    line, *headers = request.decode().strip().split("\r\n")
    assert line == "GET /a?b=c HTTP/1.1"
    names = {header.partition(":")[0] for header in headers}
    assert names == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
    assert f"Host: 127.0.0.1:{at.port}" in headers


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "0.0.0.0"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::127.0.0.1]"),
        *("[2002:7f00:1::]", "10.0.0.1", "169.254.169.254", "192.168.1.1", "224.0.0.1"),
    ],
)
async def test_an_inner_address_is_never_connected_to(host: str) -> None:
    async with site(HTML + b"\r\nsecret") as at:
        with pytest.raises((Refused, OSError)):
            await Fetcher(ports=AnyPort()).fetch(f"http://{host}:{at.port}/")
        assert at.requests == []
        assert not at.left.is_set()


async def test_only_the_ports_of_the_web_are_fetched() -> None:
    with pytest.raises(Refused, match="port"):
        await Fetcher(allowed=lambda address: True).fetch("http://127.0.0.1:6379/")


async def test_a_name_is_refused_where_one_of_its_addresses_is_inner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look_up(host: str, port: int, family: int) -> list[tuple[int, Any]]:
        return [(socket.AF_INET, (address, port)) for address in ("1.1.1.1", "127.0.0.1")]

    monkeypatch.setattr(actors.fetcher, "_look_up", look_up)
    async with site(HTML + b"\r\nsecret") as at:
        with pytest.raises(Refused, match=r"127\.0\.0\.1"):
            await Fetcher(ports=AnyPort()).fetch(f"http://rebinding.example:{at.port}/")
        assert at.requests == []


async def test_a_name_is_resolved_once_and_what_was_judged_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter(["127.0.0.1", "127.0.0.2"])
    judged = []

    def look_up(host: str, port: int, family: int) -> list[tuple[int, Any]]:
        return [(socket.AF_INET, (next(answers), port))]

    def allowed(address: str) -> bool:
        judged.append(address)
        return address == "127.0.0.1"

    monkeypatch.setattr(actors.fetcher, "_look_up", look_up)
    async with site(HTML + b"Content-Length: 2\r\n\r\nhi") as at:
        page = await opened(allowed).fetch(f"http://rebinding.example:{at.port}/")
    assert page.content == b"hi"
    # The name's address, and that of the connection.
    assert judged == ["127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.2/",
        "//127.0.0.2/x",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://u@a/",
    ],
)
async def test_a_redirect_is_judged_like_the_first_address(where: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
    async with site(answer) as at:
        with pytest.raises(Refused):
            await opened(lambda address: address == "127.0.0.1").fetch(
                f"http://127.0.0.1:{at.port}/"
            )
        assert len(at.requests) == 1


async def test_redirects_are_followed_three_times() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        hops = int(request.split()[1].strip(b"/"))
        if hops == 0:
            writer.write(HTML + b"Content-Length: 4\r\n\r\nhere")
        else:
            writer.write(b"HTTP/1.1 301 Moved\r\nLocation: /%d\r\n\r\n" % (hops - 1))

    async with site(answer) as at:
        page = await opened().fetch(f"http://127.0.0.1:{at.port}/3")
        assert (page.content, page.url) == (b"here", f"http://127.0.0.1:{at.port}/0")
        with pytest.raises(Refused, match="3 redirects"):
            await opened().fetch(f"http://127.0.0.1:{at.port}/4")


@pytest.mark.parametrize("head", [b"", b"Content-Length: 9999999999\r\n", b"chunked"])
async def test_an_endless_page_is_cut_and_the_connection_closed(head: bytes) -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        chunk = b"x" * 65_536
        if head == b"chunked":
            writer.write(HTML + b"Transfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + chunk + b"\r\n"
        else:
            writer.write(HTML + head + b"\r\n")
        while True:
            writer.write(chunk)
            await writer.drain()

    async with site(answer) as at:
        page = await opened().fetch(f"http://127.0.0.1:{at.port}/")
        assert page.content == b"x" * MAX_BYTES
        await asyncio.wait_for(at.left.wait(), 30)


async def test_a_packed_page_is_unpacked_as_far_as_it_fits() -> None:
    bomb = gzip.compress(b"x" * 50_000_000)
    head = HTML + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    async with site(head % len(bomb) + bomb) as at:
        assert len((await opened().fetch(f"http://127.0.0.1:{at.port}/")).content) == MAX_BYTES
    async with site(head % 9 + b"not gzip!") as at:
        assert (await opened().fetch(f"http://127.0.0.1:{at.port}/")).content == b"not gzip!"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: 99999999\r\n\r\nPK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        HTML + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 302 Found\r\n\r\n",
        HTML + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"garbage\r\n\r\n",
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        HTML + b"Content-Length: x\r\n\r\n",
        HTML + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    ],
)
async def test_what_is_no_page_is_refused(answer: bytes) -> None:
    async with site(answer) as at:
        content = b""
        with contextlib.suppress(Refused, OSError):
            content = (await opened().fetch(f"http://127.0.0.1:{at.port}/")).content
        assert content == b""
        assert len(at.requests) == 1


async def test_a_page_that_drips_is_given_up() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(HTML + b"\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with site(answer) as at:
        with pytest.raises(TimeoutError):
            await opened(seconds=0.3).fetch(f"http://127.0.0.1:{at.port}/")
        await asyncio.wait_for(at.left.wait(), 30)
