"""What somebody looks for: read from what was typed, compared with texts, and shown in them.

    invoice "next week" -draft 今天天气

Every term must be there, side by side where it has several words or characters; one behind `-`
must not be.
"""

import re
from typing import NamedTuple

from anmei.errors import AnmeiError, ErrorCode
from anmei.words import Token, normal, tokens, words

MAX_LENGTH = 256  # characters of a search
MAX_TERMS = 16
SNIPPET = 160  # characters of a text that are shown around the first place found
BEFORE = 40  # of them before that place

_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')

Span = tuple[int, int]


class Term(NamedTuple):
    #: The words as they must stand side by side.
    sequence: tuple[str, ...]
    excluded: bool
    #: The words of the index that a text with the term has; the index has no order.
    words: tuple[str, ...]


class Terms(NamedTuple):
    """A search that was read."""

    terms: tuple[Term, ...]

    @property
    def words(self) -> list[str]:
        """The words of the index that a text which is found has, all of them."""
        found = [word for term in self.terms if not term.excluded for word in term.words]
        return list(dict.fromkeys(found))

    def find(self, text: str) -> list[Span] | None:
        """Where in `normal(text)` the terms stand, in order and apart; None where one is missing,
        or an excluded one is there."""
        there = tokens(text)
        spans: list[Span] = []
        for term in self.terms:
            found = _places(there, term.sequence)
            if bool(found) == term.excluded:
                return None
            spans += found
        return _merged(spans)


def read_terms(text: str) -> Terms:
    """What `text` asks for. Raises AnmeiError for one that is too long or asks for too much."""
    if len(text) > MAX_LENGTH:
        raise _bad(f"expected at most {MAX_LENGTH} characters, got {len(text)}")
    terms = []
    for match in _TERM.finditer(text):
        piece = match[2] if match[2] is not None else match[3]
        sequence = tuple(token.word for token in tokens(piece))
        if sequence:
            terms.append(Term(sequence, bool(match[1]), tuple(_needed(piece))))
    if len(terms) > MAX_TERMS:
        raise _bad(f"expected at most {MAX_TERMS} terms, got {len(terms)}")
    if text.strip() and not terms:
        raise _bad("expected a word, a character or a symbol to look for")
    return Terms(tuple(terms))


def snippet(text: str, spans: list[Span]) -> list[dict[str, object]]:
    """A line of `text` around the first of `spans`, in parts `{"text", "match"}`; their texts put
    together are the line. Nothing in it is markup."""
    text = normal(text)
    start = max(0, spans[0][0] - BEFORE) if spans else 0
    end = min(len(text), start + SNIPPET)
    parts: list[dict[str, object]] = []
    if start:
        parts.append({"text": "…", "match": False})
    at = start
    for first, last in spans:
        if first >= end:
            break
        last = min(last, end)
        if first > at:
            parts.append({"text": text[at:first], "match": False})
        parts.append({"text": text[first:last], "match": True})
        at = last
    if at < end:
        parts.append({"text": text[at:end], "match": False})
    if end < len(text):
        parts.append({"text": "…", "match": False})
    return parts


def _needed(piece: str) -> list[str]:
    """The words of the index for a term. Where characters make pairs, the pairs say all that the
    single ones say, and are much rarer."""
    found = words(piece)
    pairs = {word for word in found if len(word) > 1}
    return [
        word
        for word in found
        if len(word) > 1 or not any(pair[0] == word or pair[-1] == word for pair in pairs)
    ]


def _places(there: list[Token], sequence: tuple[str, ...]) -> list[Span]:
    first, length = sequence[0], len(sequence)
    return [
        (there[at].start, there[at + length - 1].end)
        for at in range(len(there) - length + 1)
        if there[at].word == first
        and (length == 1 or tuple(token.word for token in there[at : at + length]) == sequence)
    ]


def _merged(spans: list[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _bad(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, f"q: {message}")
