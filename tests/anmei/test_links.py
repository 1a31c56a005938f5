"""Which address a text links to."""

import time

import pytest

from anmei.links import MAX_URL_LENGTH, first_link


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://example.org", "https://example.org"),
        ("see http://example.org/a?b=c#d, please", "http://example.org/a?b=c#d"),
        ("(https://example.org/a)", "https://example.org/a"),
        ("https://example.org/A_(b).", "https://example.org/A_(b)"),
        ("[https://[::1]/x]", "https://[::1]/x"),
        ("看 https://例子.测试/路径。谢谢", "https://例子.测试/路径"),
        ("两个:https://a.example，https://b.example", "https://a.example"),
        ("<https://a.example/x>", "https://a.example/x"),
        ("first ftp://a.example then https://b.example", "https://b.example"),
        ("nothing", None),
        ("xhttps://example.org", None),
        ("https://", None),
        ("https://...", None),
        ("javascript:alert(1)", None),
        ("https://a.example/" + "x" * MAX_URL_LENGTH, None),
        ("http://" * 20_000, None),
        ("(see [https://a.example/A_(b)])", "https://a.example/A_(b)"),
        ("https://a.example/x)]).", "https://a.example/x"),
    ],
)
def test_the_first_address_is_found_as_people_write_it(text: str, link: str | None) -> None:
    assert first_link(text) == link


@pytest.mark.parametrize("end", [")", "]", ").", "])"])
def test_many_brackets_behind_an_address_cost_no_more_than_other_characters(end: str) -> None:
    began = time.thread_time()
    assert first_link("https://a.example/x" + end * (65_000 // len(end))) == "https://a.example/x"
    assert time.thread_time() - began < 0.5
