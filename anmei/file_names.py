"""What a file is called: a name for people, never a path."""

import unicodedata
from urllib.parse import quote

from anmei.content import CONTROLS, TURNING

MAX_NAME_LENGTH = 200
NAMELESS = "file"

#: Names that mean a device to Windows, whatever stands behind the first dot.
_DEVICES = frozenset(
    ("CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$")
    + tuple(f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³")
)
#: What some file system gives a meaning, or a shell, or a header.
_MARKS = frozenset('<>:"|?*%;')


def clean_name(given: str) -> str:
    """A name that can do no harm wherever it is saved: the last part of a path, without controls
    and marks, at most MAX_NAME_LENGTH characters with its ending kept."""
    name = unicodedata.normalize("NFC", given.replace("\\", "/")).rpartition("/")[2]
    name = "".join(
        "_" if character in _MARKS else character
        for character in name
        if character not in TURNING and unicodedata.category(character) not in CONTROLS
    )
    # A leading dot hides a file, and a trailing one or a space is lost on Windows.
    name = name.strip().lstrip(". ").rstrip(". ")
    if len(name) > MAX_NAME_LENGTH:
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 16 else ""
        name = name[: MAX_NAME_LENGTH - len(ending)].rstrip(". ") + ending
    if name.partition(".")[0].rstrip().upper() in _DEVICES:
        name = "_" + name
    return name or NAMELESS


def content_disposition(name: str, *, inline: bool) -> str:
    """The header for a name that `clean_name` made, readable by those that know RFC 6266 and, in
    plain ASCII, by those that do not."""
    plain = "".join(c if c.isascii() and c not in '"\\' else "_" for c in name)
    encoded = quote(name, safe="!#$&+^`|~")
    how = "inline" if inline else "attachment"
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
