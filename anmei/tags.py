"""The words that users sort their messages and conversations by: tags and categories."""

import unicodedata

from anmei.errors import AnmeiError, ErrorCode

MAX_LENGTH = 32
#: Besides the letters, marks and digits of every script.
_SIGNS = frozenset("_-.+")


def check_tag(field: str, text: str) -> str:
    """`text` composed, so that what looks the same is the same. Raises AnmeiError for anything but
    1 to `MAX_LENGTH` letters, digits and `_ - . +`, the first a letter or a digit."""
    tag = unicodedata.normalize("NFC", text)
    if (
        not 1 <= len(tag) <= MAX_LENGTH
        or not tag[0].isalnum()
        or not all(each in _SIGNS or unicodedata.category(each)[0] in "LMN" for each in tag)
    ):
        raise AnmeiError(
            ErrorCode.BAD_REQUEST,
            f"{field}: expected 1 to {MAX_LENGTH} letters or digits of any script, or _ - . +, the "
            f"first a letter or a digit, got {ascii(text[:64])}",
        )
    return tag
