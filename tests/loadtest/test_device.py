"""A stream is cut so that no marker is ever torn."""

import socket

import pytest

from loadtest.device import Device

FRAME = b'\x81\x2b{"type":"message","data":{"content":"@ab12#7;"}}'


@pytest.mark.parametrize("size", range(1, 2 * len(FRAME)))
def test_markers_are_counted_once_however_the_stream_comes(size):
    left, right = socket.socketpair()
    with left, right:
        device = Device(0, left)
        stream = FRAME * 10
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert sum(device.cut(piece).count(b"@ab12#") for piece in pieces) == 10
        assert device.tail == b""
