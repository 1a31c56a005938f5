"""A log line is one line, whatever stands in it."""

import json
import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei.logs import LONGEST_LINE, JsonLines, TextLines


def line(formatter: logging.Formatter, message: str, *arguments: object) -> str:
    return formatter.format(
        logging.LogRecord("anmei.x", logging.INFO, "", 0, message, arguments, None)
    )


@given(st.text())
def test_no_text_makes_a_second_line_or_moves_the_cursor(text):
    written = line(TextLines(), "name %s", text)
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs") for each in written)
    assert len(written.splitlines()) == 1
    assert "\x1b" not in written


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[2J", "\u202eabc", "\x00", "\u2028x"])
def test_controls_are_written_as_escapes(hostile):
    assert hostile not in line(TextLines(), "%s", hostile)


def test_a_line_has_an_end():
    assert len(line(TextLines(), "%s", "x" * 1_000_000)) < LONGEST_LINE + 200


def test_json_lines_can_be_read():
    read = json.loads(line(JsonLines(), "hello %s", "wörld\n"))
    assert (read["level"], read["logger"], read["message"]) == ("INFO", "anmei.x", "hello wörld\\n")
