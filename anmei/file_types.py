"""What a file is, judged by how it begins and not by what its sender says.

Nothing is decoded: that is for whoever shows it. Only what is recognised here, and is nothing that
a browser could run, is ever shown in a page.
"""

import re
import struct

#: How much of a file is looked at.
HEAD_BYTES = 65_536
#: Larger pictures are handed out as files: showing one takes four bytes a pixel, and more.
MAX_PIXELS = 50_000_000

UNKNOWN = "application/octet-stream"

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]")
#: What a browser shows, by a name that others give to the same.
_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/opus": "audio/ogg",
}
SAFE_TYPES = frozenset(
    ("image/png", "image/jpeg", "image/gif", "image/webp")
    + ("audio/mpeg", "audio/ogg", "audio/wav", "audio/mp4", "audio/webm", "audio/flac")
)


def claimed_type(given: str) -> str:
    """The type that a sender names, UNKNOWN where it is none."""
    kind = given.partition(";")[0].strip().lower()
    kind = _ALIASES.get(kind, kind)
    return kind if _TYPE.fullmatch(kind) else UNKNOWN


def judge(head: bytes, claimed: str) -> tuple[str, bool]:
    """The type of a file that begins with `head`, and whether a page may show it.

    What says that it is a picture or a sound, and is not, is UNKNOWN.
    """
    found = _sniff(head, claimed)
    if found is None:
        return (UNKNOWN if claimed in SAFE_TYPES else claimed), False
    if not found.startswith("image/"):
        return found, True
    width, height = _size(head, found)
    return found, 0 < width * height <= MAX_PIXELS


def _sniff(head: bytes, claimed: str) -> str | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] in (b"WEBP", b"WAVE"):
        return "image/webp" if head[8:12] == b"WEBP" else "audio/wav"
    if head.startswith(b"OggS"):
        return "audio/ogg"
    if head.startswith(b"fLaC"):
        return "audio/flac"
    # A film begins the same way as a sound: here the sender's word decides between the two.
    if head[4:8] == b"ftyp" and claimed == "audio/mp4":
        return "audio/mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3") and claimed == "audio/webm":
        return "audio/webm"
    if head.startswith(b"ID3") or (
        claimed == "audio/mpeg" and len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    ):
        return "audio/mpeg"
    return None


def _size(head: bytes, kind: str) -> tuple[int, int]:
    """Width and height of a picture; (0, 0) where they are not to be found."""
    try:
        if kind == "image/png" and head[12:16] == b"IHDR":
            return struct.unpack_from(">II", head, 16)
        if kind == "image/gif":
            return struct.unpack_from("<HH", head, 6)
        if kind == "image/webp":
            return _webp_size(head)
        if kind == "image/jpeg":
            return _jpeg_size(head)
    except struct.error:
        pass
    return 0, 0


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    if head[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8X":
        width = int.from_bytes(head[24:27], "little") + 1
        return width, int.from_bytes(head[27:30], "little") + 1
    return 0, 0


def _jpeg_size(head: bytes) -> tuple[int, int]:
    at = 2
    while at + 4 <= len(head) and head[at] == 0xFF:
        if _FRAME.match(head, at):
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        at += 2 + struct.unpack_from(">H", head, at + 2)[0]
    return 0, 0
