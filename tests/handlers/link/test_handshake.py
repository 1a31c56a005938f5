"""The handshake of a WebSocket."""

import time
from collections.abc import Callable

import pytest

from tests.handlers.link.echo import Server


@pytest.mark.parametrize(
    "key", ["abc", "", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25j!Q==", "A" * 24]
)
async def test_a_key_that_is_not_16_bytes_is_refused(
    server: Server, key: str, expect_log: Callable[[str], None]
) -> None:
    expect_log("400 GET /")
    async with server.peer(headers={"Sec-WebSocket-Key": key}) as peer:
        assert peer.response.startswith(b"HTTP/1.1 400 ")
    assert server.sink.ends == []


async def test_another_version_is_told_ours(
    server: Server, expect_log: Callable[[str], None]
) -> None:
    expect_log("426 GET /")
    async with server.peer(headers={"Sec-WebSocket-Version": "8"}) as peer:
        assert peer.response.startswith(b"HTTP/1.1 426 ")
        assert peer.header("Sec-WebSocket-Version") == "13"
        assert (peer.header("Upgrade"), peer.header("Connection")) == ("websocket", "Upgrade")


@pytest.mark.parametrize("name", ["Protocol", "Extensions"])
@pytest.mark.parametrize("value", [",", " ", ", ", ";", '="', "a,"])
async def test_a_header_of_50_kb_costs_little(server: Server, name: str, value: str) -> None:
    server.deflate = True
    async with server.peer():
        pass
    cpu = time.process_time()
    text = "x" + value * (50_000 // len(value)) + "x"
    async with server.peer(headers={f"Sec-WebSocket-{name}": text}) as peer:
        assert time.process_time() - cpu < 0.5
        assert peer.response.startswith(b"HTTP/1.1 101 ")


async def test_a_subprotocol_is_selected(server: Server) -> None:
    headers = {"Sec-WebSocket-Protocol": "x, anmei.v1, bearer.abc"}
    async with server.peer(headers=headers) as peer:
        assert peer.header("Sec-WebSocket-Protocol") == "anmei.v1"
        assert server.sink.link.selected_subprotocol == "anmei.v1"
