"""Whatever bytes come, `decode` answers with a frame or a BadFrame."""

import json
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei import codec
from anmei.errors import AnmeiError, BadFrame, ErrorCode
from anmei.frames import MAX_POSITIONS, PAYLOADS, Frame, SendMessage

SEND = {"conversation_id": "c1", "content": "hi", "client_msg_id": "m1"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def frame(type: object, data: object = None, **more: object) -> bytes:
    return json.dumps({"type": type, "data": data if data is not None else {}, **more}).encode()


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def refusal(data: bytes) -> BadFrame:
    with pytest.raises(BadFrame) as caught:
        codec.decode(data)
    return caught.value


def test_a_message_is_read_with_its_defaults():
    read = codec.decode(frame("send_message", SEND, id="r1"))
    assert read.id == "r1"
    assert read.data == SendMessage(**SEND)
    assert (read.data.message_type, read.data.priority) == ("text", "normal")


def test_fields_that_nobody_knows_are_ignored():
    read = codec.decode(frame("typing", {"conversation_id": "c1", "seq": 7, "sender_id": "eve"}))
    assert read.data.conversation_id == "c1"
    assert not hasattr(read.data, "sender_id")


def test_an_unknown_type_is_unsupported_and_named_without_its_controls():
    error = refusal(frame("drop\x1b[2J\n", id="r1"))
    assert error.code is ErrorCode.UNSUPPORTED
    assert error.frame_id == "r1"
    assert "\x1b" not in error.message
    assert "\n" not in error.message
    assert all(name in error.message for name in PAYLOADS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NaN",
        b'{"type":"ping","data":NaN}',
        b'{"type":"ping","data":1e999}',
        b'{"type":"ping","data":"\\ud800"}',
        b'{"type":"ping","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"ping","data":"' + b"x" * 2_000 + b'"}',
        b'\xef\xbb\xbf{"type":"ping"}',
        b'{"type":"ping","data":"\xff"}',
        b'{"type":"ping"} {}',
        b'{"type":"' + b"x" * 100_000 + b'"}',
        b'{"type":"ping","id":' + b"1" * 5_000 + b"}",
        b'{"type":"sync","data":{"positions":{"a:b":1}}}',
        b'{"type":"sync","data":{"positions":{"a":-1}}}',
        b'{"type":"sync","data":{"positions":{"a":9007199254740992}}}',
        b'{"type":"history","data":{"conversation_id":"a","limit":1000000}}',
        b'{"type":"typing","data":{"conversation_id":"a","is_typing":1}}',
        b'{"type":"send_message","data":{"conversation_id":"a","content":1,"client_msg_id":"m"}}',
    ],
)
def test_what_strangers_send_is_refused_by_name(data):
    assert refusal(data).code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    "id", ["*", "a:b", "{a}", "a\r\nb", "a\n", "a/b", "", "a" * 129, "é", " a"]
)
def test_ids_that_could_mean_something_elsewhere_are_refused(id):
    assert refusal(frame("typing", {"conversation_id": id})).code is ErrorCode.BAD_REQUEST


IDS = "1 to 128 of A-Z a-z 0-9 _ . @ + -, the first a letter, a digit or _"


@pytest.mark.parametrize(
    ("type", "data", "message"),
    [
        ("typing", {"conversation_id": "a b"}, f"Expected {IDS} - at `$.conversation_id`"),
        ("send_message", {**SEND, "reply_to": "é"}, f"Expected {IDS} - at `$.reply_to`"),
        (
            "mark_read",
            {"conversation_id": "a", "message_ids": ["!"]},
            f"Expected {IDS} - at `$.message_ids[0]`",
        ),
        ("sync", {"positions": {"*": 1}}, f"Expected {IDS} - at `key` in `$.positions`"),
        (
            "send_message",
            {**SEND, "client_msg_id": "é"},
            "Expected 1 to 255 visible ASCII characters - at `$.client_msg_id`",
        ),
        (
            "send_message",
            {**SEND, "priority": "x" * 10_000},
            "Expected one of low, normal, high, urgent - at `$.priority`",
        ),
        (
            "set_status",
            {"status": "offline"},
            "Expected one of online, away, busy, dnd - at `$.status`",
        ),
    ],
)
def test_a_refusal_says_in_words_what_is_allowed_and_where(type, data, message):
    assert refusal(frame(type, data)).message == f"{type}: {message}"


def test_a_body_is_refused_in_the_same_words():
    class Body(msgspec.Struct):
        kind: Literal["one", "two"] | None = None

    with pytest.raises(AnmeiError) as caught:
        codec.decode_body(b'{"kind":"three"}', Body)
    assert caught.value.message == "the body: Expected one of one, two - at `$.kind`"


@given(st.binary())
def test_any_bytes_give_a_frame_or_a_bad_frame(data):
    try:
        assert isinstance(codec.decode(data), Frame)
    except BadFrame as error:
        json.dumps(error.to_wire())


@given(st.sampled_from(list(PAYLOADS)), json_values, st.none() | st.text())
def test_any_json_as_data_of_any_type_gives_a_frame_or_a_bad_frame(type, data, id):
    text = json.dumps({"type": type, "id": id, "data": data}).encode("utf-8", "surrogatepass")
    try:
        read = codec.decode(text)
    except BadFrame as error:
        found: object = error.code
    else:
        found = read.type
    assert found in (type, ErrorCode.BAD_REQUEST)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_any_metadata_is_stored_as_it_came_or_refused(value):
    try:
        text = codec.check_metadata(raw(value))
    except AnmeiError:
        return
    assert text is not None
    assert json.loads(text) == value


def test_metadata_is_bounded_in_size_depth_and_numbers():
    deep: dict = {}
    for _ in range(codec.MAX_METADATA_DEPTH):
        deep = {"d": deep}
    for value, code in (
        ({"x": "y" * codec.MAX_METADATA_BYTES}, ErrorCode.TOO_LARGE),
        (deep, ErrorCode.BAD_REQUEST),
        ({"n": 2**53}, ErrorCode.BAD_REQUEST),
        (["no", "object"], ErrorCode.BAD_REQUEST),
    ):
        with pytest.raises(AnmeiError) as caught:
            codec.check_metadata(raw(value))
        assert caught.value.code is code


def test_metadata_that_is_too_large_is_refused_before_it_is_read():
    error = refusal(frame("send_message", {**SEND, "extra_metadata": {"a": [[1]] * 3_000}}, id="r"))
    assert (error.code, error.frame_id) == (ErrorCode.TOO_LARGE, "r")
    assert str(codec.MAX_METADATA_BYTES) in error.message


def test_a_message_that_waits_keeps_its_metadata_and_not_its_frame():
    data = {**SEND, "extra_metadata": {"a": 1}, "unknown": "x" * 200_000}
    kept = codec.decode(frame("send_message", data)).data.extra_metadata
    assert codec.check_metadata(kept) == '{"a":1}'
    assert len(memoryview(kept).obj) < 100  # type: ignore[arg-type]


def test_a_sync_has_a_bounded_number_of_positions():
    positions = {f"c{number}": number for number in range(MAX_POSITIONS)}
    assert len(codec.decode(frame("sync", {"positions": positions})).data.positions) == 5_000
    error = refusal(frame("sync", {"positions": {**positions, "one": 1}}))
    assert "5000" in error.message


def test_the_id_alone_is_read_where_there_is_one():
    assert codec.read_id(b'{"data":{"a":[1]},"type":"nothing we know","id":"r1"}') == "r1"
    for data in (b'{"type":"ping"}', b'{"type":"ping","id":', b"[" * 100_000, b"\xff"):
        assert codec.read_id(data) is None


def test_a_ping_is_handed_back_as_it_came():
    read = codec.decode(b'{"type":"ping","id":"\\"x","data":{"a": [1, 2.50]}}')
    pong = json.loads(codec.encode_pong(read.id, read.data))
    assert (pong["type"], pong["id"], pong["data"]) == ("pong", '"x', {"a": [1, 2.5]})
    assert "id" not in json.loads(codec.encode_pong(None, b"{}"))


def test_what_goes_out_is_compact_and_not_escaped():
    assert codec.encode({"a": "x/é"}) == '{"a":"x/é"}'.encode()
    with pytest.raises(OverflowError):
        codec.encode(float("nan"))
