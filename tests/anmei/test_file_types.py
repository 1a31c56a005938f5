"""What a file is, judged by its first bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei.file_types import MAX_PIXELS, SAFE_TYPES, UNKNOWN, claimed_type, judge

JPEG = b"\xff\xd8\xff\xe1\x00\x08Exif\0\0\xff\xc0\x00\x11\x08" + struct.pack(">HH", 30, 40)


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


@pytest.mark.parametrize(
    ("head", "claimed", "type", "safe"),
    [
        (png(40, 30), UNKNOWN, "image/png", True),
        (png(50_000, 50_000), "image/png", "image/png", False),
        (png(MAX_PIXELS, 1), "image/png", "image/png", True),
        (png(0, 0), "image/png", "image/png", False),
        (png(40, 30)[:20], "image/png", "image/png", False),
        (gif(40, 30), "image/gif", "image/gif", True),
        (gif(65_535, 65_535), "image/gif", "image/gif", False),
        (JPEG, "image/jpeg", "image/jpeg", True),
        (JPEG[:14], "image/jpeg", "image/jpeg", False),
        (b"\xff\xd8\xff\xe1\x00\x00", "image/jpeg", "image/jpeg", False),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x27\0\0\x1d\0\0", "", "image/webp", True),
        (b"RIFF\0\0\0\0WEBPVP8L" + bytes(5) + b"\x27\x40\x07\0", "", "image/webp", True),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + b"\x28\0\x1e\0", "", "image/webp", True),
        (b"RIFF\0\0\0\0WEBPJUNK", "", "image/webp", False),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav", "audio/wav", True),
        (b"OggS", "audio/ogg", "audio/ogg", True),
        (b"ID3\x04", "audio/mpeg", "audio/mpeg", True),
        (b"\xff\xfb\x90", "audio/mpeg", "audio/mpeg", True),
        (b"\xff\xfb\x90", "text/plain", "text/plain", False),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4", "audio/mp4", True),
        (b"\0\0\0\x20ftypisom", "video/mp4", "video/mp4", False),
        (b"\x1a\x45\xdf\xa3", "audio/webm", "audio/webm", True),
        (b"<svg/>", "image/svg+xml", "image/svg+xml", False),
        (b"<html>", "image/png", UNKNOWN, False),
        (b"<html>", "text/html", "text/html", False),
        (b"", "image/png", UNKNOWN, False),
        (b"", UNKNOWN, UNKNOWN, False),
    ],
)
def test_the_bytes_decide(head: bytes, claimed: str, type: str, safe: bool) -> None:
    assert judge(head, claimed) == (type, safe)


@pytest.mark.parametrize(
    ("given", "type"),
    [
        ("image/PNG; charset=x", "image/png"),
        ("image/jpg", "image/jpeg"),
        ("audio/x-m4a", "audio/mp4"),
        ("text/plain\r\nSet-Cookie: x=1", UNKNOWN),
        ("../x", UNKNOWN),
        ("a/b/c", UNKNOWN),
        ("图/片", UNKNOWN),
        ("x" * 200 + "/y", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_a_type_is_a_type_or_unknown(given: str, type: str) -> None:
    assert claimed_type(given) == type


STARTS = st.sampled_from([png(1, 1), gif(1, 1), JPEG, b"RIFF\0\0\0\0WEBPVP8 ", b"\xff\xd8\xff\xe0"])


@given(STARTS | st.just(b""), st.binary(max_size=40), st.sampled_from(sorted(SAFE_TYPES)))
def test_whatever_comes_is_judged(start: bytes, rest: bytes, claimed: str) -> None:
    type, safe = judge(start[: len(start) - len(rest) % 3] + rest, claimed)
    assert not safe or type in SAFE_TYPES
