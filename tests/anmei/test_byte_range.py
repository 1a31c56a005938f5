"""One part of a file, and what is no part of it."""

import pytest

from anmei.byte_range import Unsatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-3", (0, 4)),
        ("bytes=4-", (4, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes= 0-3 ", (0, 4)),
        ("bytes=9-9", (9, 10)),
        ("bytes=0-1,2-3", None),
        ("bytes=3-2", None),
        ("bytes=٣-", None),
        ("bytes=" + "1" * 50 + "-", None),
        ("chars=0-3", None),
        ("", None),
    ],
)
def test_a_part_is_found(header: str | None, part: tuple[int, int] | None) -> None:
    assert parse_range(header, 10) == part


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_a_part_that_is_not_there_is_said(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, size)
