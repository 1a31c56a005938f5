import pytest

from anmei.errors import AnmeiError, ErrorCode
from anmei.templates import MAX_PLACEHOLDERS, MAX_VALUE_LENGTH, Template, placeholders

PARCEL = Template({"en": "Hi {name}, no. {n}", "zh-CN": "{name},单号{n}", "zh-TW": "x"}, "en")


def test_placeholders_are_named_once_in_their_order() -> None:
    assert placeholders("{b} and {a1_}, {b} {{not}}") == ("b", "a1_")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "}",
        "{}",
        "{Name}",
        "{a.b}",
        "{a[0]}",
        "{a!r}",
        "{a:>9}",
        "{1}",
        "{ a }",
        "{{{}}}",
        "{a",
    ],
)
def test_a_brace_that_belongs_to_no_placeholder_is_refused(text: str) -> None:
    with pytest.raises(AnmeiError, match="brace at character"):
        placeholders(text)


def test_there_is_a_most_of_placeholders() -> None:
    with pytest.raises(AnmeiError, match=str(MAX_PLACEHOLDERS)):
        placeholders("".join(f"{{p{n}}}" for n in range(MAX_PLACEHOLDERS + 1)))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("en", "en"),
        ("EN-us", "en"),
        ("zh-cn", "zh-CN"),
        ("zh", "zh-CN"),
        ("zh-CN-x1", "zh-CN"),
        ("zh-HK", "zh-CN"),
        ("fr", "en"),
        (None, "en"),
    ],
)
def test_a_language_falls_back_to_the_nearest_one(asked: str | None, found: str) -> None:
    assert PARCEL.choose(asked) == found


def test_values_are_put_in_as_they_are() -> None:
    values = {"name": "{n} {{x}} {0.__class__} %s \\1", "n": 7}
    assert PARCEL.render("en", values, 1_000) == "Hi {n} {{x}} {0.__class__} %s \\1, no. 7"
    assert Template({"en": "{{{a}}} }}{{"}, "en").render(None, {"a": 1.5}, 10) == "{1.5} }{"


def test_missing_and_unknown_values_are_named() -> None:
    for values, said in (
        ({}, "no value for name, n"),
        ({"name": "Ann"}, "no value for n$"),
        (
            {"name": "Ann", "n": 1, "Date": 1, "x": 2},
            "no placeholder 'Date', x; allowed are n, name",
        ),
    ):
        with pytest.raises(AnmeiError, match=said) as caught:
            PARCEL.render("en", values, 1_000)
        assert caught.value.code is ErrorCode.BAD_REQUEST
    # A value that another language needs may be there.
    assert PARCEL.render("zh-TW", {"n": 1}, 1) == "x"


def test_a_value_has_a_largest_length() -> None:
    with pytest.raises(AnmeiError, match=str(MAX_VALUE_LENGTH)) as caught:
        PARCEL.render("en", {"name": "x" * (MAX_VALUE_LENGTH + 1), "n": 1}, 10_000)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_a_text_that_would_grow_too_long_is_not_written_at_all() -> None:
    """A value of some kilobytes that stands in it thousands of times."""
    filled = {"a": "x" * MAX_VALUE_LENGTH}
    assert len(Template({"en": "{a}{{"}, "en").render(None, filled, 4_097)) == 4_097
    with pytest.raises(AnmeiError, match="81920000 characters; at most 65536 ") as caught:
        Template({"en": "{a}" * 20_000}, "en").render(None, filled, 65_536)
    assert caught.value.code is ErrorCode.TOO_LARGE
