import pytest

from anmei.errors import AnmeiError
from anmei.search_terms import MAX_LENGTH, MAX_TERMS, read_terms, snippet


def found(q: str, text: str) -> list[str] | None:
    spans = read_terms(q).find(text)
    return None if spans is None else [text[start:end] for start, end in spans]


def test_all_terms_must_stand_in_a_text() -> None:
    assert found("fox quick", "The quick fox") == ["quick", "fox"]
    assert found("fox slow", "The quick fox") is None
    assert found("qui", "quick") is None


def test_a_phrase_and_a_run_of_characters_stand_side_by_side() -> None:
    assert found('"quick fox"', "The quick, fox") == ["quick, fox"]
    assert found('"fox quick"', "The quick fox") is None
    assert found("天气", "今天天气好天气") == ["天气", "天气"]
    assert found("今天气", "今天天气") is None
    assert found("don't", "I don't") == ["don't"]
    assert found('"left open', "left open door") == ["left open"]


def test_an_excluded_term_stands_nowhere() -> None:
    assert found("fox -slow", "quick fox") == ["fox"]
    assert found("fox -quick", "quick fox") is None
    assert found('fox -"quick fox"', "quick fox") is None
    assert read_terms("-slow").words == []


def test_the_index_is_asked_for_the_rarest_words_of_a_term() -> None:
    assert read_terms("今天气 好 ok").words == ["今天", "天气", "好", "ok"]
    assert read_terms('"Quick Fox"').words == ["quick", "fox"]
    assert read_terms("I am").words == ["i", "am"]


def test_places_that_touch_are_one() -> None:
    assert found("今天 天气", "今天气") == ["今天气"]


def test_what_cannot_be_looked_for_is_refused_by_a_sentence_with_the_limit() -> None:
    for q, said in (
        ("x" * (MAX_LENGTH + 1), str(MAX_LENGTH)),
        (" ".join("abcdefghijklmnopqrstuvw"), str(MAX_TERMS)),
        ("?! …", "expected a word"),
        ('""', "expected a word"),
    ):
        with pytest.raises(AnmeiError, match=said):
            read_terms(q)
    assert read_terms("  ").terms == ()


def test_a_snippet_put_together_is_the_text_around_the_place() -> None:
    text = "a" * 50 + " needle " + "b" * 300
    parts = snippet(text, [(51, 57)])
    assert [part for part in parts if part["match"]] == [{"text": "needle", "match": True}]
    assert len(parts) == 5
    whole = "".join(str(part["text"]) for part in snippet("short one", [(0, 5)]))
    assert whole == "short one"
    assert snippet("", []) == []
    cut = snippet("x" * 500, [(0, 500)])
    assert [part["match"] for part in cut] == [True, False]
