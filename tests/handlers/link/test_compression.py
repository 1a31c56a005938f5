"""permessage-deflate."""

import asyncio
import contextlib
import tracemalloc
import zlib

import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.handlers.link.echo import LIMIT, PATIENT, Server, frame


async def test_compression_without_context_takeover_with_a_real_client(server: Server) -> None:
    server.deflate = True
    async with websockets.connect(
        f"ws://127.0.0.1:{server.port}", extensions=[ClientPerMessageDeflateFactory()], **PATIENT
    ) as client:
        (extension,) = client.protocol.extensions
        assert extension.remote_no_context_takeover
        assert extension.local_no_context_takeover
        for text in ("x" * 10_000, "", "äöü" * 1_000, "a"):
            await client.send(text)
            assert await client.recv() == text
        await client.send(["x" * 1_000, "y" * 1_000])
        assert await client.recv() == "x" * 1_000 + "y" * 1_000
    assert await server.sink.closed == (1000, "")


@pytest.fixture
def bomb() -> bytes:
    """Made here, since it takes its time and the loop must not stand still for it."""
    pump = zlib.compressobj(9, zlib.DEFLATED, -15)
    made = b"".join(pump.compress(bytes(1_000_000)) for _ in range(200))
    return made + pump.flush(zlib.Z_SYNC_FLUSH)[:-4]


async def test_a_deflate_bomb_is_refused_with_bounded_memory(server: Server, bomb: bytes) -> None:
    server.deflate = True
    assert 150_000 < len(bomb) < LIMIT
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    tracemalloc.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            peers = [
                await stack.enter_async_context(server.peer(headers=headers)) for _ in range(50)
            ]
            bombs = frame(0xC2, bomb)
            await asyncio.gather(*(peer.send(bombs) for peer in peers))
            assert await asyncio.gather(*(peer.close_code() for peer in peers)) == [4013] * 50
        # At most the compressed bytes of each, and one of them inflated up to the limit.
        assert tracemalloc.get_traced_memory()[1] < 50 * 300_000 + 10 * LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("offer", "taken"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ('permessage-deflate; server_max_window_bits="15"; client_max_window_bits=9', True),
        ("x-unknown, permessage-deflate; server_max_window_bits=9, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=9", False),
        ("permessage-deflate; client_max_window_bits=16", False),
        ("permessage-deflate; server_no_context_takeover=1", False),
        ("permessage-deflate; unknown", False),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", False),
        ("", False),
    ],
)
async def test_only_offers_that_suit_are_taken(server: Server, offer: str, taken: bool) -> None:
    server.deflate = True
    async with server.peer(headers={"Sec-WebSocket-Extensions": offer}) as peer:
        answer = peer.header("Sec-WebSocket-Extensions")
        assert (answer is not None) is taken
        # Who asks for a limit is told that it is kept, as RFC 7692, 7.1.2.1, wants it.
        assert ("; server_max_window_bits=15" in (answer or "")) is (
            'server_max_window_bits="15"' in offer
        )
        assert server.sink.link.deflate is taken
