import pytest

from anmei.errors import AnmeiError
from anmei.tags import check_tag


@pytest.mark.parametrize("tag", ["work", "重要", "to-do", "v1.2", "c++", "हिन्दी", "x" * 32])
def test_tags_are_words_of_any_script(tag: str) -> None:
    assert check_tag("tag", tag) == tag


def test_what_looks_the_same_is_the_same() -> None:
    assert check_tag("tag", "cafe\u0301") == check_tag("tag", "caf\u00e9")


@pytest.mark.parametrize("tag", ["", "-x", "a b", "a/b", "a\nb", "a\0", "x" * 33, "👍", "\u202ea"])
def test_other_tags_are_refused(tag: str) -> None:
    with pytest.raises(AnmeiError, match="expected 1 to 32"):
        check_tag("tag", tag)
