"""Texts with placeholders, in one or several languages.

A placeholder is `{name}`; `{{` and `}}` stand for the braces themselves. What is put in is put in
as it is: it is never read as a template again, and nothing in a template is ever evaluated.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from anmei.errors import AnmeiError, ErrorCode

MAX_LANGUAGES = 32
MAX_PLACEHOLDERS = 32  # different ones of one text
MAX_VALUE_LENGTH = 4_096

LANGUAGE_PATTERN = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$(?!\n)"

_PIECE = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]{0,31})\}|[{}]")

_NAME = re.compile("[a-z0-9_]{1,32}")

Value = str | int | float


class Template(NamedTuple):
    """The texts of one template by language."""

    texts: dict[str, str]
    default_language: str

    def choose(self, language: str | None) -> str:
        """The language to write in for somebody who asked for `language`: that one, or what is
        left of it without its last part, or another of the same first part, or the default."""
        names = {name.lower(): name for name in self.texts}
        parts = [] if language is None else language.lower().split("-")
        for length in range(len(parts), 0, -1):
            name = names.get("-".join(parts[:length]))
            if name is not None:
                return name
        for lower, name in sorted(names.items()):
            if parts and lower.split("-")[0] == parts[0]:
                return name
        return self.default_language

    def render(self, language: str | None, values: Mapping[str, Value], most: int) -> str:
        """The text with the values in it. Raises AnmeiError that names those that are missing, or
        that no language of the template has a place for, and where it would have more than `most`
        characters: a value may stand in it thousands of times."""
        text = self.texts[self.choose(language)]
        missing = [name for name in placeholders(text) if name not in values]
        if missing:
            raise _bad(f"template.values: no value for {_listed(missing)}")
        known = {name for each in self.texts.values() for name in placeholders(each)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise _bad(
                f"template.values: no placeholder {_listed(unknown)}; allowed are "
                f"{_listed(sorted(known)) or 'none'}"
            )
        for name, value in values.items():
            if isinstance(value, str) and len(value) > MAX_VALUE_LENGTH:
                raise AnmeiError(
                    ErrorCode.TOO_LARGE,
                    f"template.values.{name} has {len(value)} characters; at most "
                    f"{MAX_VALUE_LENGTH} are allowed",
                )
        size = len(text) + sum(
            len(_filled(match, values)) - len(match[0]) for match in _PIECE.finditer(text)
        )
        if size > most:
            raise AnmeiError(
                ErrorCode.TOO_LARGE,
                f"the template with these values has {size} characters; at most {most} are allowed",
            )
        return _PIECE.sub(lambda match: _filled(match, values), text)


def placeholders(text: str) -> tuple[str, ...]:
    """The names of the placeholders of a text, in the order they come first. Raises AnmeiError for
    a brace that belongs to none."""
    found: dict[str, None] = {}
    for match in _PIECE.finditer(text):
        if match[1] is not None:
            found[match[1]] = None
        elif match[0] in "{}":
            raise _bad(
                f"the brace at character {match.start() + 1} begins or ends no placeholder: "
                "expected {name}, of a-z, 0-9 and _, the first a letter, or {{ and }} for braces"
            )
    if len(found) > MAX_PLACEHOLDERS:
        raise _bad(f"{len(found)} placeholders; at most {MAX_PLACEHOLDERS} are allowed")
    return tuple(found)


def _filled(match: "re.Match[str]", values: Mapping[str, Value]) -> str:
    return str(values[match[1]]) if match[1] is not None else match[0][0]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name if _NAME.fullmatch(name) else ascii(name[:64]) for name in names)


def _bad(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, message)
