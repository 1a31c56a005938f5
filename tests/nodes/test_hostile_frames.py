"""Frames that no client of this protocol would send, at a server that others are using."""

import asyncio
import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.websocket import WebSocketClosedError

from anmei.frames import PAYLOADS
from tests.support.client import Client
from tests.support.raw_socket import CLOSE, TEXT, RawSocket

#: The door must survive each of these, answer, and go on.
ANSWERED = {
    "nothing": "",
    "no JSON": "hello",
    "half JSON": '{"type":"ping"',
    "two values": '{"type":"ping"} {"type":"ping"}',
    "a byte order mark": '\ufeff{"type":"ping"}',
    "an array": "[]",
    "a number": "1",
    "null": "null",
    "no type": '{"data":{}}',
    "a type that is no text": '{"type":1,"data":{}}',
    "an unknown type": '{"type":"drop_tables","data":{}}',
    "a private method": '{"type":"__init__","data":{}}',
    "a type of ours": '{"type":"new_message","data":{}}',
    "data that is no object": '{"type":"typing","data":[]}',
    "no data": '{"type":"send_message"}',
    "an id that is no text": '{"type":"ping","id":{"a":1},"data":{}}',
    "NaN": '{"type":"sync","data":{"positions":{"ROOM":NaN}}}',
    "Infinity": '{"type":"sync","data":{"positions":{"ROOM":1e999}}}',
    "a negative place": '{"type":"sync","data":{"positions":{"ROOM":-1}}}',
    "a large place": '{"type":"sync","data":{"positions":{"ROOM":18446744073709551616}}}',
    "5,000 digits": '{"type":"sync","data":{"positions":{"ROOM":' + "9" * 5_000 + "}}}",
    "deep nesting": '{"type":"ping","data":' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep objects": '{"type":"ping","data":' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}",
    "deep metadata": '{"type":"send_message","data":{"conversation_id":"ROOM","content":"x",'
    '"client_msg_id":"deep","extra_metadata":' + '{"a":' * 20_000 + "1" + "}" * 20_001 + "}",
    "a lone surrogate": '{"type":"send_message","data":{"conversation_id":"ROOM",'
    '"content":"\\ud800","client_msg_id":"surrogate"}}',
    "NUL": '{"type":"send_message","data":{"conversation_id":"ROOM",'
    '"content":"a\\u0000b","client_msg_id":"nul"}}',
    "a raw control character": '{"type":"send_message","data":{"conversation_id":"ROOM",'
    '"content":"a\nb","client_msg_id":"raw"}}',
    "10^5 ids": '{"type":"mark_read","data":{"conversation_id":"ROOM","message_ids":['
    + '"a",' * 60_000
    + '"a"]}}',
    "10^4 positions": '{"type":"sync","data":{"positions":{'
    + ",".join(f'"c{number}":1' for number in range(10_000))
    + "}}}",
    "both seqs": '{"type":"history","data":'
    '{"conversation_id":"ROOM","before_seq":1,"after_seq":1}}',
    "an absurd limit": '{"type":"history","data":{"conversation_id":"ROOM","limit":1000000000}}',
    "a forged sender": '{"type":"typing","data":{"conversation_id":"ROOM","user_id":"alice"}}',
    **{
        f"the id {id!r}": json.dumps(
            {"type": "typing", "data": {"conversation_id": id, "is_typing": True}}
        )
        for id in ("*", "a:b", "{x}", "a\r\nb", "../../etc", "a/b", "", "\x00", "a" * 5_000, "%s")
    },
}


@pytest.fixture
def room(io_loop, small_node, make_room) -> str:
    return io_loop.run_sync(lambda: make_room(small_node, "alice", "bob"))


async def stranger(node, user: str = "bob", **options) -> RawSocket:
    """A raw connection that has read its welcome."""
    headers = {"Authorization": f"Bearer {node.token(user)}"}
    raw = await RawSocket.connect(node.port, headers=headers, **options)
    await raw.read_frame()
    return raw


async def lives(raw: RawSocket) -> list[dict]:
    """Everything that came up to the pong of a ping; fails where the connection has ended."""
    await raw.send_frame(TEXT, b'{"type":"ping","id":"alive","data":{}}')
    seen = []
    while True:
        frame = await raw.read_frame()
        assert frame is not None, "the connection was cut"
        assert frame.opcode != CLOSE, f"closed with {frame.payload!r}"
        if frame.opcode == TEXT:
            seen.append(json.loads(frame.payload))
            if seen[-1]["type"] == "pong" and seen[-1].get("id") == "alive":
                return seen


@pytest.mark.gen_test(timeout=100)
async def test_nonsense_is_answered_and_the_connection_lives(small_node, room, connect):
    """P4, P8 (section 3, rows 48, 49, 52): an answer for each, and nobody else notices."""
    alice = await connect(small_node, "alice")
    raw = await stranger(small_node)
    silent = ("a forged sender",)
    for what, text in ANSWERED.items():
        await raw.send_frame(TEXT, text.replace("ROOM", room).encode("utf-8", "surrogatepass"))
        seen = await lives(raw)
        errors = [frame["error"] for frame in seen if frame["type"] == "error"]
        assert errors or what in silent, f"{what}: no answer"
        for error in errors:
            assert error["retryable"] is False, f"{what}: {error}"
            assert "Traceback" not in error["message"]
            assert len(error["message"]) < 1_000, f"{what}: too long an answer"
    typed = await alice.expect("typing")
    assert typed["user_id"] == "bob"
    await alice.send_message(room, "untouched")
    await alice.expect("new_message", content="untouched")
    assert [message["content"] for message in alice.messages(room)] == ["untouched"]
    await raw.close()


@pytest.mark.gen_test(timeout=100)
async def test_what_cannot_be_answered_ends_its_own_connection_alone(small_node, room, connect):
    """P4 (section 3, rows 7, 9, 49): a documented close code, and others go on talking."""
    alice = await connect(small_node, "alice")
    huge = b'{"type":"ping","data":"' + b"x" * 1_048_576 + b'"}'
    array = b'{"type":"ping","data":[' + b"0," * 1_000_000 + b"0]}"

    async def closes(code: int, opcode: int, payload: bytes, **options) -> None:
        raw = await stranger(small_node)
        await raw.send_frame(opcode, payload, **options)
        closed = await raw.read_close()
        assert closed is not None, f"cut without a close frame, expected {code}"
        assert closed[0] == code, closed
        await raw.close()

    await closes(4013, TEXT, huge)
    await closes(4013, TEXT, array)
    await closes(4013, TEXT, b"", claimed_length=2**62)
    await closes(4008, 0x2, b"\x00\x01")
    await closes(1007, TEXT, b'{"type":"\xff"}')
    await closes(1002, TEXT, b"{}", mask=None)
    await closes(1002, 0x3, b"")
    await alice.send_message(room, "untouched")
    await alice.expect("new_message", content="untouched")


async def send_until_closed(client: Client, text: str, most: int) -> None:
    """Sends `text` again and again, as a client does that does not look at the answers."""
    with contextlib.suppress(WebSocketClosedError):
        for _ in range(most):
            await client.send_raw(text)
            if client.closed:
                return


async def test_nonsense_without_end_is_sent_away(small_node, room, connect):
    """Section 6: errors without end are a broken client, closed with 4008 for good."""
    alice, bob = await connect(small_node, "alice"), await connect(small_node, "bob")
    await send_until_closed(bob, "nonsense", 120)
    await bob.expect_close(4008)
    assert bob.farewell["reconnect"] is False
    await alice.ping()


async def test_a_flood_is_slowed_down_and_then_sent_away(start, make_room, connect):
    """Section 8: past the limit frames are refused with a delay, far past it comes 4101."""
    node = await start({"ANMEI_LIMIT_FRAMES_PER_SECOND": "5", "ANMEI_LIMIT_FRAMES_BURST": "20"})
    alice, bob = await connect(node, "alice"), await connect(node, "bob")
    flood = '{"type":"ping","data":{}}'
    await send_until_closed(bob, flood, 5_000)
    error = await bob.expect_error("rate_limited")
    assert error["retryable"] is True
    assert error["retry_after_ms"] > 0
    await bob.expect_close(4101)
    assert bob.farewell["retry_after_ms"] > 0
    await alice.ping()


async def test_whoever_shows_no_token_has_small_frames_and_one_of_them(small_node):
    """P4: a stranger keeps no large frame in memory, begun or whole, until a token is shown."""
    large = await RawSocket.connect(small_node.port)
    await large.send_frame(TEXT, b"x", claimed_length=16_385)
    assert (await large.read_close())[0] == 4013
    nobody = await RawSocket.connect(small_node.port)
    await nobody.send_frame(TEXT, b'{"type":"ping","id":"1","data":{}}')
    await nobody.send_frame(TEXT, b'{"type":"ping","id":"2","data":{}}')
    assert json.loads((await nobody.read_frame()).payload)["type"] == "disconnect"
    assert (await nobody.read_close())[0] == 4001
    bob = await RawSocket.connect(small_node.port)
    token = {"token": small_node.token("bob")}
    await bob.send_frame(TEXT, json.dumps({"type": "authenticate", "data": token}).encode())
    assert json.loads((await bob.read_frame()).payload)["type"] == "connection_established"
    await bob.send_frame(TEXT, b'{"type":"nothing","data":"' + b"x" * 200_000 + b'"}')
    await lives(bob)
    for raw in (large, nobody, bob):
        await raw.close()


@pytest.mark.parametrize("size", [100_000, 262_000])
async def test_large_frames_use_up_what_many_small_ones_would(start, size):
    """Section 8: a frame counts once for each 4 KiB, and a refusal carries the frame's id."""
    burst = 3 * (size // 4_096 + 1)
    node = await start(
        {"ANMEI_LIMIT_FRAMES_PER_SECOND": "1", "ANMEI_LIMIT_FRAMES_BURST": str(burst)}
    )
    raw = await stranger(node)
    for number in range(5):
        data = {"conversation_id": "x", "filling": "y" * size}
        frame = json.dumps({"type": "typing", "id": f"r{number}", "data": data})
        await raw.send_frame(TEXT, frame.encode())
    codes = {}
    while len(codes) < 5:
        answer = json.loads((await raw.read_frame()).payload)
        if answer["type"] == "error":
            codes[answer["id"]] = answer["error"]["code"]
    assert sorted(codes) == ["r0", "r1", "r2", "r3", "r4"]
    assert sorted(codes.values()) == ["not_found"] * 3 + ["rate_limited"] * 2
    await raw.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)
FIELDS = sorted({name for struct in PAYLOADS.values() for name in struct.__struct_fields__})
NAMES = st.sampled_from([*PAYLOADS, "new_message", ""]) | st.text(max_size=10)
#: Whole frames that are nearly right, and texts that are nothing.
FRAMES = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "type": NAMES,
            "id": JSON,
            "data": st.dictionaries(st.sampled_from(FIELDS), JSON | st.just("ROOM"), max_size=5),
        },
    ).map(lambda frame: json.dumps(frame, ensure_ascii=False)),
    JSON.map(json.dumps),
    st.text(max_size=50),
)


def test_no_frame_makes_the_server_fail(io_loop, small_node, room):
    """P4 (section 3, row 48): whatever the frames are, each connection that sent them still
    answers or was closed with one of our codes, and the log has no trouble in it."""

    async def run(frames: list[str]) -> None:
        raw = await stranger(small_node, "bob")
        for text in frames:
            payload = text.replace("ROOM", room).encode("utf-8", "surrogatepass")
            await raw.send_frame(TEXT, payload)
        await raw.send_frame(TEXT, b'{"type":"ping","id":"alive","data":{}}')
        async with asyncio.timeout(60):
            while (frame := await raw.read_frame()) is not None:
                if frame.opcode == CLOSE:
                    code = int.from_bytes(frame.payload[:2])
                    assert code in (1007, 4008), f"{code}: {frames}"
                    break
                text = frame.payload.decode()
                assert '"code":"internal"' not in text, f"{text}: {frames}"
                if '"pong"' in text and '"alive"' in text:
                    break
            else:
                pytest.fail(f"cut without a close frame: {frames}")
        await raw.close()

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(FRAMES, min_size=1, max_size=12))
    def fuzz(frames: list[str]) -> None:
        io_loop.run_sync(lambda: run(frames))

    fuzz()
