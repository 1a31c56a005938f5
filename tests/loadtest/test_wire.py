"""Frames as the load client writes and reads them."""

import pytest

from loadtest import wire

SIZES = [0, 1, 125, 126, 16_384, 16_385, 65_535, 65_536]


def unmasked(frame: bytes) -> bytes:
    head = {126: 4, 127: 10}.get(frame[1] & 127, 2)
    key, body = frame[head : head + 4], frame[head + 4 :]
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(body))


@pytest.mark.parametrize("size", SIZES)
def test_a_masked_frame_holds_its_payload(size):
    payload = bytes(index % 251 for index in range(size))
    frame = wire.text_frame(payload)
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    assert unmasked(frame) == payload


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_of_a_server_is_read_when_it_is_whole_and_not_before(size):
    if size < 126:
        head = bytes((0x81, size))
    elif size < 65_536:
        head = b"\x81\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + size.to_bytes(8, "big")
    frame = head + b"x" * size
    assert wire.next_frame(b"zz" + frame + b"more", 2) == (b"x" * size, 2 + len(frame))
    for length in {0, 1, 2, 3, len(head), len(frame) - 1} & set(range(len(frame))):
        assert wire.next_frame(frame[:length]) is None
