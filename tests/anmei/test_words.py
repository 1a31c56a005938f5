import pytest

from anmei.words import MAX_WORDS, normal, tokens, words

SAME = (
    ("CAFÉ", "cafe"),
    ("cafe\u0301", "cafe"),
    ("ｃａｆｅ", "cafe"),
    ("Straße", "strasse"),
    ("Ελλάδα", "ελλαδα"),
    ("İ", "i"),
    ("㎏", "kg"),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_width_and_accents_make_no_difference(one: str, other: str) -> None:
    assert words(one) == words(other) == [other]


def test_letters_and_digits_make_words_and_all_else_stands_between() -> None:
    assert words("Hello, world-2 x_y don't\n\u200b") == [
        "hello",
        "world",
        "2",
        "x",
        "y",
        "don",
        "t",
    ]
    assert words("हिन्दी में") == ["हिन्दी", "में"]
    assert words("... --- !?") == []


def test_scripts_without_spaces_give_characters_and_pairs() -> None:
    assert words("今天天") == ["今", "天", "今天", "天天"]
    assert words("ok吗 好") == ["ok", "吗", "好"]
    assert words("タワー") == ["タ", "ワ", "タワ", "ー", "ワー"]
    assert words("𠀀𠀁") == ["𠀀", "𠀁", "𠀀𠀁"]


def test_an_emoji_is_a_word() -> None:
    assert words("I👍🏽it") == ["i", "👍", "it"]


def test_tokens_say_where_they_stand_in_the_composed_text() -> None:
    for text in ("Ach, cafe\u0301 今天 ㎏👍", "plain ascii, twice"):
        for token in tokens(text):
            shown = normal(text)[token.start : token.end]
            assert words(shown) == [token.word], token


def test_a_text_gives_a_bounded_number_of_words_of_a_bounded_length() -> None:
    assert len(words(" ".join(map(str, range(5_000))))) <= MAX_WORDS
    assert len(words("".join(map(chr, range(0x4E00, 0x5500))))) == MAX_WORDS
    assert words("x" * 100_000) == ["x" * 64]
    assert words("é" * 100) == ["e" * 64]


def test_no_word_holds_what_means_something_to_a_database() -> None:
    every = "".join(
        map(chr, [*range(0x3100), *range(0x3100, 0xD800, 7), *range(0xE000, 0x30000, 7)])
    )
    seen = {word for at in range(0, len(every), 500) for word in words(every[at : at + 500])}
    assert len(seen) > 20_000
    signs = {chr(code) for code in range(128) if not chr(code).isalnum()}
    for word in seen:
        assert word
        assert not signs & set(word), word
        assert word.lower() == word or not word.isascii()
