"""What the server sends, read back by another implementation."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from anmei import wire


def parse(data: bytes, *extensions: PerMessageDeflate) -> Frame:
    """The one frame in `data`, as a client reads it."""
    reader = StreamReader()
    reader.feed_data(data)
    parsing = Frame.parse(reader.read_exact, mask=False, extensions=list(extensions))
    try:
        while True:
            next(parsing)
    except StopIteration as end:
        assert len(reader.buffer) == 0
        return end.value


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_every_length_is_written_in_its_shortest_form(size: int) -> None:
    frame = wire.text_frame(b"x" * size)
    assert parse(frame) == Frame(Opcode.TEXT, b"x" * size)
    assert len(frame) - size == (2 if size < 126 else 4 if size < 65_536 else 10)
    assert parse(wire.binary_frame(b"x" * size)) == Frame(Opcode.BINARY, b"x" * size)


def test_pings_and_pongs_carry_at_most_125_bytes() -> None:
    assert parse(wire.ping_frame()) == Frame(Opcode.PING, b"")
    assert parse(wire.ping_frame(b"x" * 200)) == Frame(Opcode.PING, b"x" * 125)
    assert parse(wire.pong_frame(b"data")) == Frame(Opcode.PONG, b"data")


def test_a_close_frame_carries_code_and_reason() -> None:
    assert parse(wire.close_frame()) == Frame(Opcode.CLOSE, b"")
    assert parse(wire.close_frame(4200, "zu langsäm")).data == b"\x10\x68zu langs\xc3\xa4m"


@settings(deadline=None)
@given(st.text(max_size=200))
def test_a_close_reason_is_cut_in_whole_characters(reason: str) -> None:
    payload = parse(wire.close_frame(1000, reason)).data
    assert len(payload) <= 125
    kept = payload[2:].decode()
    assert reason.encode("utf-8", "replace").decode().startswith(kept)
    assert len(reason.encode("utf-8", "replace")) - len(kept.encode()) < 4 or len(payload) > 121


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70_000])
def test_a_code_that_must_not_be_on_the_wire_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=f"close code {code}; .* may be 1000–1003"):
        wire.close_frame(code)


def test_an_empty_close_has_no_code() -> None:
    assert wire.read_close(b"") == (wire.NO_CODE, "")


@settings(deadline=None)
@given(st.integers(1000, 5000).filter(wire.may_close_with), st.text(max_size=30))
def test_a_close_is_read_as_it_was_written(code: int, reason: str) -> None:
    reason = reason.encode("utf-8", "replace").decode()
    assert wire.read_close(parse(wire.close_frame(code, reason)).data) == (code, reason)


@settings(deadline=None)
@given(st.text(max_size=2_000))
def test_a_deflated_frame_is_read_by_another_implementation(text: str) -> None:
    for level in (1, 9):
        frame = wire.deflate_frame(text.encode("utf-8", "replace"), level)
        extension = PerMessageDeflate(True, True, 15, 15)
        assert parse(frame, extension).data == text.encode("utf-8", "replace")


def test_a_deflated_frame_is_smaller_or_left_alone() -> None:
    assert len(wire.deflate_frame(b"x" * 10_000)) < 100
    assert wire.deflate_frame(b"abc") == wire.text_frame(b"abc")
    noise = zlib.compress(bytes(range(256)) * 4)
    assert wire.deflate_frame(noise) == wire.text_frame(noise)
