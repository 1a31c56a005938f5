"""What one sync sends altogether is bounded, and the first ones have it."""

from hypothesis import given
from hypothesis import strategies as st

from actors.budget import RESET_PAGE, Budget


def test_conversations_take_from_it_until_it_is_spent_and_each_may_be_sent_one_event():
    budget = Budget(limit=10, total=12)
    assert not budget.take(11)  # more than one conversation may be sent
    assert [budget.take(10), budget.take(3), budget.take(2)] == [True, False, True]
    assert budget.most == 1
    assert [budget.take(2), budget.take(1), budget.take(1)] == [False, True, True]


def test_the_newest_page_is_as_long_as_what_is_left():
    budget = Budget(limit=500, total=70)
    assert [budget.take_page() for _ in range(4)] == [RESET_PAGE, 20, 1, 1]


def test_it_covers_what_could_be_taken_one_after_the_other():
    budget = Budget(limit=5, total=9)
    assert budget.covers([5, 4])
    assert not budget.covers([5, 5])
    assert not budget.covers([6])
    assert budget.covers([])


@given(st.integers(1, 60), st.integers(1, 200), st.lists(st.integers(1, 80), max_size=60))
def test_no_more_is_sent_than_the_total_and_one_event_for_each(limit, total, missed):
    budget = Budget(limit, total)
    sent = [number if budget.take(number) else budget.take_page() for number in missed]
    assert max(sent, default=0) <= limit
    assert sum(sent) <= total + len(missed)
    if sum(missed) <= total and max(missed, default=0) <= limit:
        assert sent == missed
