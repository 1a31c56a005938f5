"""What the text of a message, a title or a name may hold."""

import unicodedata

from anmei.errors import AnmeiError, ErrorCode

#: Categories of controls, lone surrogates and line ends.
CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: What turns the direction of the text around it, and the byte order mark. Joiners stay: emoji
#: and several scripts are written with them.
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")

#: Categories of what only changes the characters beside it.
_UNSEEN = frozenset({"Cf", "Mn", "Me"})

#: Families and flags are written with up to a dozen.
MAX_EMOJI_LENGTH = 32


def check_content(content: str, limit: int, field: str = "content") -> None:
    """Raises AnmeiError for a text over `limit` bytes, or that no database keeps."""
    size = len(content.encode())
    if size > limit:
        raise AnmeiError(
            ErrorCode.TOO_LARGE, f"{field} takes {size} bytes; at most {limit} are allowed"
        )
    if "\x00" in content:
        raise AnmeiError(ErrorCode.BAD_REQUEST, f"{field} holds U+0000, which cannot be stored")


def check_line(field: str, text: str, limit: int) -> str:
    """`text` without spaces around it: one line of 1 to `limit` characters that people see.

    Raises AnmeiError for anything else.
    """
    text = text.strip()
    if not 1 <= len(text) <= limit or any(
        character in TURNING or unicodedata.category(character) in CONTROLS for character in text
    ):
        raise AnmeiError(
            ErrorCode.BAD_REQUEST,
            f"{field}: expected 1 to {limit} characters, without control characters",
        )
    return text


def check_emoji(emoji: str) -> None:
    """Raises AnmeiError for anything but a short word or picture, as reactions are."""
    kinds = [unicodedata.category(character) for character in emoji[: MAX_EMOJI_LENGTH + 1]]
    if (
        not 1 <= len(emoji) <= MAX_EMOJI_LENGTH
        or any(kind in CONTROLS or kind == "Zs" for kind in kinds)
        or any(character in TURNING or character == "\ufffd" for character in emoji)
        or all(kind in _UNSEEN for kind in kinds)
    ):
        raise AnmeiError(
            ErrorCode.BAD_REQUEST,
            f"emoji: expected 1 to {MAX_EMOJI_LENGTH} characters that people see, without spaces"
            " and control characters",
        )


def one_line(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters, without what people cannot see."""
    seen = "".join(
        " " if character in TURNING or unicodedata.category(character) in CONTROLS else character
        for character in text[: 8 * limit]
    )
    line = " ".join(seen.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
