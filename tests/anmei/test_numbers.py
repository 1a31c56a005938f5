"""Whatever the bus loses, repeats or reorders: nothing twice, and nothing missed unseen."""

from hypothesis import given
from hypothesis import strategies as st

from anmei.numbers import Numbers, Taken


@given(st.integers(1, 30), st.data())
def test_a_loss_is_announced_and_nothing_is_handed_on_twice(sent, data):
    """Any sub-sequence, with repeats and in any order, and then the sender's heartbeat."""
    arrived = data.draw(st.lists(st.integers(1, sent), max_size=60))
    to_all = data.draw(st.booleans())
    numbers = Numbers()
    handed_on: list[int] = []
    gaps = 0
    for number in arrived:
        taken = numbers.take("node_a", number, to_all=to_all)
        if taken is not Taken.OLD:
            handed_on.append(number)
        gaps += taken is Taken.AFTER_LOSS
    if to_all:
        # A heartbeat is itself the next packet to all.
        gaps += numbers.take("node_a", sent + 1, to_all=True) is Taken.AFTER_LOSS
    else:
        gaps += numbers.beat("node_a", sent)
    assert handed_on == sorted(set(handed_on))
    assert (gaps > 0) == (handed_on != list(range(1, sent + 1)))


@given(st.permutations(range(1, 8)))
def test_a_gap_is_announced_after_the_last_thing_that_was_lost(order):
    """Whoever reads the store when the gap is announced finds everything that was dropped."""
    numbers = Numbers()
    told_up_to = 0
    handed_on = set()
    for number in order:
        taken = numbers.take("node_a", number, to_all=False)
        if taken is Taken.AFTER_LOSS:
            told_up_to = number
        if taken is not Taken.OLD:
            handed_on.add(number)
    assert all(number < told_up_to for number in set(order) - handed_on)


def test_the_two_channels_of_a_sender_are_counted_apart():
    numbers = Numbers()
    assert numbers.take("node_a", 1, to_all=True) is Taken.NEXT
    assert numbers.take("node_a", 1, to_all=False) is Taken.NEXT
    assert numbers.take("node_a", 2, to_all=False) is Taken.NEXT
    assert numbers.take("node_a", 2, to_all=True) is Taken.NEXT


def test_a_sender_that_is_met_in_the_middle_counts_as_having_lost_something():
    assert Numbers().take("node_a", 5, to_all=True) is Taken.AFTER_LOSS


def test_a_heartbeat_tells_of_a_loss_once():
    numbers = Numbers()
    numbers.take("node_a", 1, to_all=False)
    assert not numbers.beat("node_a", 1)
    assert numbers.beat("node_a", 3)
    assert not numbers.beat("node_a", 3)
    assert numbers.take("node_a", 3, to_all=False) is Taken.OLD


def test_what_was_lost_counts_as_handled_only_when_it_is_mended():
    numbers = Numbers()
    numbers.take("node_a", 1, to_all=True)
    numbers.take("node_a", 3, to_all=True)
    numbers.take("node_a", 4, to_all=True)
    assert numbers.vector() == {"node_a": 1}
    losses = numbers.losses("node_a")
    assert numbers.mended("node_a", losses)
    assert numbers.vector() == {"node_a": 4}
    numbers.take("node_a", 5, to_all=True)
    assert numbers.whole("node_a") == 5


def test_what_was_lost_while_mending_is_not_mended_by_it():
    numbers = Numbers()
    numbers.take("node_a", 2, to_all=True)
    losses = numbers.losses("node_a")
    numbers.take("node_a", 4, to_all=True)
    assert not numbers.mended("node_a", losses)
    assert numbers.whole("node_a") == 0
    assert numbers.mended("node_a", numbers.losses("node_a"))
    assert numbers.whole("node_a") == 4


def test_a_loss_of_what_was_for_this_node_alone_says_nothing_of_what_was_for_all():
    numbers = Numbers()
    numbers.take("node_a", 1, to_all=True)
    numbers.take("node_a", 9, to_all=False)
    assert numbers.whole("node_a") == 1


def test_one_that_was_given_up_and_is_back_has_lost_something_and_its_old_packets_stay_old():
    numbers = Numbers()
    for number in (1, 2, 3):
        numbers.take("node_a", number, to_all=True)
    numbers.forget("node_a")
    assert numbers.vector() == {}
    assert numbers.take("node_a", 2, to_all=True) is Taken.OLD
    assert numbers.take("node_a", 4, to_all=True) is Taken.AFTER_LOSS
    assert numbers.take("node_a", 5, to_all=True) is Taken.NEXT
    assert numbers.whole("node_a") == 0
    numbers.mended("node_a", numbers.losses("node_a"))
    assert numbers.whole("node_a") == 5


@given(st.lists(st.integers(0, 50), max_size=200))
def test_it_stays_small_whoever_sends(senders):
    numbers = Numbers(most=5)
    for turn, sender in enumerate(senders, 1):
        numbers.take(f"node_{sender}", turn, to_all=True)
        assert len(numbers) <= 5
