"""The words of a text, for finding messages again: the same for both databases, since neither
splits Chinese by itself.

A run of letters and digits is a word, folded so that `CAFÉ`, `café` and `ｃａｆｅ` are one.
Scripts that write without spaces (Chinese, Japanese, Korean, Thai, …) give single characters
instead, and every two that stand together: `今天` is found in `今天天气` by one look. A symbol such
as an emoji is a word by itself.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

MAX_WORD_LENGTH = 64  # characters that count of a longer word
MAX_CHARACTERS = 16_384  # of one text that are looked at, the first ones
MAX_WORDS = 1_000  # different words of one text that are kept, the first ones

#: Scripts without spaces between words: Thai, Lao, Tibetan, Myanmar, Hangul, Khmer, kana,
#: Bopomofo, Yi, and the Han of all planes.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
#: Accents, which are left out where they stand on letters that exist without.
_ACCENTS = re.compile("[\u0300-\u036f]")
_ASCII_WORD = re.compile("[a-z0-9]+")


class Token(NamedTuple):
    """One word where it stands: a run of letters, one character of an unspaced script, or one
    symbol. `start` and `end` count characters of `normal(text)`."""

    word: str
    start: int
    end: int
    #: Whether it is a character whose neighbours make pairs with it.
    unspaced: bool


def normal(text: str) -> str:
    """`text` as tokens count it: composed, which looks the same and means the same."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def tokens(text: str) -> list[Token]:
    """The words of `normal(text)` in order, each time they stand there."""
    if text.isascii():
        return [
            Token(match[0][:MAX_WORD_LENGTH], match.start(), match.end(), False)
            for match in _ASCII_WORD.finditer(text.lower())
        ]
    found: list[Token] = []
    word: list[str] = []
    start = end = 0

    def close() -> None:
        if word:
            found.append(Token("".join(word)[:MAX_WORD_LENGTH], start, end, False))
            word.clear()

    for at, character in enumerate(normal(text)):
        folded = _fold(character)
        if folded is None:
            close()
        elif folded.alone:
            close()
            found += [Token(each, at, at + 1, folded.unspaced) for each in folded.text]
        elif folded.text:
            if not word:
                start = at
            word.append(folded.text)
            end = at + 1
        elif word:
            end = at + 1  # an accent belongs to the letter before it
    close()
    return found


def words(text: str) -> list[str]:
    """The different words that `text` is found by, bounded: those of its tokens, and each pair of
    characters of an unspaced script that stand together."""
    found: dict[str, None] = {}
    before: Token | None = None
    for token in tokens(text[:MAX_CHARACTERS]):
        found[token.word] = None
        if before is not None and adjoin(before, token):
            found[before.word + token.word] = None
        if len(found) >= MAX_WORDS:
            break
        before = token
    return list(found)[:MAX_WORDS]


def adjoin(first: Token, second: Token) -> bool:
    """Whether two tokens in order are a pair."""
    return first.unspaced and second.unspaced and second.start <= first.end


class _Folded(NamedTuple):
    text: str
    alone: bool
    unspaced: bool


@lru_cache(maxsize=16_384)
def _fold(character: str) -> _Folded | None:
    """What a character is in a word; None for what stands between words."""
    wide = unicodedata.normalize("NFKC", character).casefold()
    bare = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", wide)))
    if _UNSPACED.match(wide):
        text = "".join(each for each in wide if _is_letter(each))
        return _Folded(text, True, True) if text else None
    if unicodedata.category(character) == "So":
        return (
            _Folded(character, True, False) if not bare.isalnum() else _Folded(bare, False, False)
        )
    if not bare and _ACCENTS.match(character):
        return _Folded("", False, False)
    text = "".join(each for each in bare if _is_letter(each))
    return _Folded(text, False, False) if text else None


def _is_letter(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")
