"""Names of files: for people, and harmless wherever they are saved."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei.file_names import MAX_NAME_LENGTH, clean_name, content_disposition


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("plan.txt", "plan.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\a.doc", "a.doc"),
        ("CON", "_CON"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("console", "console"),
        ("..", "file"),
        (" .bashrc ", "bashrc"),
        ("a.", "a"),
        ("a\u202etxt.exe", "atxt.exe"),
        ("e\u0301.txt", "é.txt"),
        ("报告 2026.pdf", "报告 2026.pdf"),
        ("👩‍🚀.png", "👩‍🚀.png"),
        ("x" * 300 + ".jpeg", "x" * 195 + ".jpeg"),
        ("a." + "x" * 300, "a." + "x" * 198),
    ],
)
def test_a_name_is_made_harmless(given: str, name: str) -> None:
    assert clean_name(given) == name


@given(st.text(max_size=300))
def test_no_name_can_do_harm(given: str) -> None:
    name = clean_name(given)
    assert 1 <= len(name) <= MAX_NAME_LENGTH + 1
    assert not name.startswith((".", " "))
    assert not set(name) & set('/\\<>:"|?*\0\r\n')
    assert not any(unicodedata.category(character) == "Cc" for character in name)
    for inline in (False, True):
        header = content_disposition(name, inline=inline)
        assert header.isascii()
        assert header.isprintable()
        assert re.fullmatch(
            r"(inline|attachment); filename=\"[^\"\\]+\"; filename\*=UTF-8''[\w!#$&+^`|~.%-]+",
            header,
        )
