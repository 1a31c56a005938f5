"""Fetches a page that a stranger named, and goes nowhere but to the public internet for it.

Every address, that of a redirect too, is resolved once; all that it resolves to is judged, and it
is what was judged that is connected to. Nothing of ours is sent: no cookie, no credentials.
"""

import asyncio
import contextlib
import socket
import ssl
import zlib
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import Resolver
from tornado.tcpclient import TCPClient

from anmei import __version__
from anmei.outward import WEB_PORTS, Refused, Target, follow, is_public, read_url

MAX_BYTES = 524_288  # of a page, packed or not; the rest is not read
MAX_HEADER_BYTES = 16_384
MAX_REDIRECTS = 3
MAX_ADDRESSES = 4
SECONDS = 5.0  # for everything, redirects and all
PAGES = ("text/html", "application/xhtml+xml")
REDIRECTS = (301, 302, 303, 307, 308)

_HEADERS = {
    "User-Agent": f"Anmei/{__version__} (link preview)",
    "Accept": ", ".join(PAGES),
    "Accept-Encoding": "gzip",
    "Connection": "close",
}


class Page(msgspec.Struct):
    """A page as it came."""

    #: Where the redirects led.
    url: str
    charset: str | None
    content: bytes


class Fetcher:
    """Fetches pages. `allowed` judges an IP address and `ports` are those that may be named;
    other than the defaults they are for tests, and no setting reaches them."""

    def __init__(
        self,
        *,
        allowed: Callable[[str], bool] = is_public,
        ports: Container[int] = WEB_PORTS,
        seconds: float = SECONDS,
    ) -> None:
        self._ports = ports
        self._seconds = seconds
        #: Names are resolved by threads of our own: slow ones keep nobody else's work waiting.
        #: They end with the process, or when nobody holds the fetcher any more.
        self.threads = ThreadPoolExecutor(4, "previews")
        self._resolver = _Judge(allowed=allowed, threads=self.threads)
        self._client = TCPClient(self._resolver)
        self._allowed = allowed
        self._tls = ssl.create_default_context()

    async def fetch(self, url: str) -> Page:
        """The page at `url`, as much of it as fits. Raises Refused where the server does not go
        there, or what is there is no page, and OSError or TimeoutError where nothing answers."""
        async with asyncio.timeout(self._seconds):
            target = read_url(url, self._ports)
            for _ in range(MAX_REDIRECTS + 1):
                taker = await self._ask(target)
                if taker.status not in REDIRECTS:
                    return taker.page(target)
                location = taker.headers.get("Location", "")
                if not location:
                    raise Refused("a redirect to nowhere")
                target = follow(target, location, self._ports)
        raise Refused(f"more than {MAX_REDIRECTS} redirects")

    async def _ask(self, target: Target) -> "_Taker":
        stream = await self._client.connect(
            target.host,
            target.port,
            ssl_options=self._tls if target.scheme == "https" else None,
            max_buffer_size=MAX_BYTES,
        )
        try:
            peer = stream.socket.getpeername()[0]
            if not self._allowed(peer):
                raise Refused(f"{peer} is not on the public internet")
            return await self._talk(stream, target)
        finally:
            stream.close()

    async def _talk(self, stream: IOStream, target: Target) -> "_Taker":
        taker = _Taker(stream)
        connection = HTTP1Connection(
            stream,
            True,
            # More than is taken: the taker ends it, so that what came by then is kept.
            HTTP1ConnectionParameters(
                no_keep_alive=True, max_header_size=MAX_HEADER_BYTES, max_body_size=2**62
            ),
        )
        headers = HTTPHeaders({"Host": target.shown_host, **_HEADERS})
        with contextlib.suppress(StreamClosedError):
            await connection.write_headers(RequestStartLine("GET", target.path, ""), headers)
            connection.finish()
            await connection.read_response(taker)
        if taker.status == 0:
            raise OSError("no answer")
        return taker


class _Taker(HTTPMessageDelegate):
    """Takes an answer, and hangs up as soon as there is enough of it."""

    def __init__(self, stream: IOStream) -> None:
        self._stream = stream
        self.status = 0
        self.headers = HTTPHeaders()
        self._content = bytearray()

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, ResponseStartLine)
        if start_line.code < 200:
            return
        self.status = start_line.code
        self.headers = headers
        if self.status != 200 or self._kind() not in PAGES:
            self._stream.close()

    def data_received(self, chunk: bytes) -> None:
        self._content += chunk[: MAX_BYTES - len(self._content)]
        if len(self._content) >= MAX_BYTES:
            self._stream.close()

    def page(self, target: Target) -> Page:
        """Raises Refused for an answer that is no page."""
        if self.status != 200:
            raise Refused(f"the answer was {self.status}")
        if self._kind() not in PAGES:
            raise Refused("it is no page")
        content = bytes(self._content)
        coding = self.headers.get("Content-Encoding", "identity").strip().lower()
        if coding == "gzip":
            # No more than fits is unpacked, however much would come out.
            with contextlib.suppress(zlib.error):
                content = zlib.decompressobj(31).decompress(content, MAX_BYTES)
        elif coding != "identity":
            raise Refused(f"a content coding that was not asked for: {ascii(coding[:32])}")
        return Page(target.url, self._charset(), content)

    def _kind(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def _charset(self) -> str | None:
        for part in self.headers.get("Content-Type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'")[:40] or None
        return None


class _Judge(Resolver):
    """Resolves a name once, and refuses it where any of its addresses is not public."""

    def initialize(self, allowed: Callable[[str], bool], threads: ThreadPoolExecutor) -> None:
        self._allowed = allowed
        self._threads = threads

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, _look_up, host, port, family
        )
        for _, address in found:
            if not self._allowed(address[0]):
                raise Refused(f"{address[0]} is not on the public internet")
        return found[:MAX_ADDRESSES]


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[tuple[int, Any]]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]
