"""Each line of the budget is judged, and one that was not measured does not hold."""

import pytest

from loadtest.budget import BUDGET, SHOWN, Line, ratio, value


@pytest.mark.parametrize(
    ("at_most", "measured", "verdict"),
    [
        (True, 4.0, "holds"),
        (True, 4.1, "does not hold"),
        (False, 4.0, "holds"),
        (False, 3.9, "does not hold"),
    ],
)
def test_the_limit_itself_still_holds(at_most, measured, verdict):
    line = Line("work", "s", value("x"), 4, at_most)
    assert line.judge({"x": measured})["verdict"] == verdict


def test_a_ratio_is_of_ours_to_theirs():
    row = Line("work", "× b", ratio("a", "b"), 0.4).judge({"a": 1.0, "b": 4.0})
    assert row["measured"] == 0.25
    assert row["verdict"] == "holds"


def test_a_figure_without_a_limit_is_shown_and_judged_by_nobody():
    row = Line("work", "× b", ratio("a", "b")).judge({"a": 8.0, "b": 4.0})
    assert row["measured"] == 2.0
    assert row["verdict"] == SHOWN
    assert row["required"] is None


def test_what_was_not_measured_does_not_hold():
    assert {line.judge({})["verdict"] for line in BUDGET} == {"not measured"}
