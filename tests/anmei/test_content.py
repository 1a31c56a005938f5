"""What people may write where."""

import pytest

from anmei.content import MAX_EMOJI_LENGTH, check_content, check_emoji, check_line
from anmei.errors import AnmeiError, ErrorCode

SHOWN = (
    "Tea",
    "茶　会",
    "👩\u200d💻",
    "می\u200cخواهم",
    "naïve ‘quotes’ …",
    "🏴\U000e0067\U000e007f",
)


def test_a_line_in_any_script_is_kept_without_the_spaces_around_it() -> None:
    for text in SHOWN:
        assert check_line("title", f"  {text}\n", 200) == text


@pytest.mark.parametrize(
    "text", ["", " \n", "x" * 11, "a\nb", "a\x00", "\x1b[2J", "a\u202eb", "a\u2028b", "a\ud800"]
)
def test_what_could_disturb_those_who_read_it_is_refused(text: str) -> None:
    with pytest.raises(AnmeiError) as caught:
        check_line("title", text, 10)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.message.startswith("title: expected 1 to 10")


def test_content_is_measured_in_bytes_and_may_hold_all_but_nul() -> None:
    check_content("é" * 5 + "\n\t\u202e", 15)
    with pytest.raises(AnmeiError) as caught:
        check_content("é" * 6, 11)
    assert caught.value.code is ErrorCode.TOO_LARGE
    with pytest.raises(AnmeiError) as caught:
        check_content("a\x00", 11)
    assert caught.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    "emoji", ["👍", "❤️", "👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", ":party-parrot:", "好", "x" * MAX_EMOJI_LENGTH, "1️⃣"]
)
def test_an_emoji_is_a_picture_or_a_short_word(emoji: str) -> None:
    check_emoji(emoji)


@pytest.mark.parametrize(
    "emoji",
    ["", " ", "a b", "👍\n", "\x00", "\u202e👍", "\u200d", "\ufe0f", "\ufffd", "\u2028", "x" * 33],
)
def test_what_nobody_sees_or_is_no_single_sign_is_no_emoji(emoji: str) -> None:
    with pytest.raises(AnmeiError) as caught:
        check_emoji(emoji)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert "1 to 32 characters" in caught.value.message
