"""The judgement of a chaos run finds what is planted, and nothing where all is well."""

from typing import Any

import pytest

from loadtest.chaos.verdict import KINDS, STORE, judge

Line = dict[str, Any]


class History:
    """A run of two senders and two observers in one room, to be spoilt; a line is a second."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        for who in ("a", "b"):
            self.add(who, "is", user=who, rooms=["room"])
            self.add(who, "start", positions={"room": 1})
        for number in range(2, 7):
            self.send(number)

    def add(self, who: str, what: str, **more: object) -> None:
        self.lines.append({"t": float(len(self.lines)), "who": who, "what": what, **more})

    def send(self, seq: int) -> None:
        """One message, acknowledged, and shown to both."""
        sender = "ab"[seq % 2]
        self.add(sender, "send", id=f"{sender}-{seq}", room="room")
        self.add(sender, "ack", id=f"{sender}-{seq}", message=f"m{seq}", seq=seq, again=False)
        for who in ("a", "b"):
            self.show(who, seq)

    def show(self, who: str, seq: int, what: str = "got") -> None:
        id = f"{'ab'[seq % 2]}-{seq}"
        self.add(who, what, room="room", seq=seq, message=f"m{seq}", id=id)

    def store(self, *left_out: int) -> list[Line]:
        """The whole journal: at its end what a fresh client read."""
        for seq in sorted({line["seq"] for line in self.lines if line["what"] == "ack"}):
            if seq not in left_out:
                self.show("reader", seq, "stored")
        return self.lines

    def index(self, who: str, what: str, seq: int) -> int:
        return next(
            index
            for index, line in enumerate(self.lines)
            if (line["who"], line["what"], line.get("seq")) == (who, what, seq)
        )


@pytest.fixture
def history() -> History:
    return History()


def found(lines: list[Line]) -> dict[tuple[str, str], int]:
    """What is wrong, and where."""
    verdict = judge(lines)
    wrong = {key: count for key, count in verdict.counts.items() if key[1] in KINDS and count}
    assert verdict.passed == (not wrong)
    assert len(verdict.findings) == sum(wrong.values())
    return wrong


def test_a_run_in_which_all_is_well_is_ok(history):
    verdict = judge(history.store())
    assert verdict.passed
    assert dict(verdict.counts) == {(who, "ok"): 5 for who in (STORE, "a", "b")}
    assert verdict.who == [STORE, "a", "b"]
    assert verdict.waits == {"a": [1.0] * 5, "b": [2.0] * 5}


def test_an_empty_run_proves_nothing():
    assert not judge([]).passed


# Loss


def test_an_acknowledged_message_that_is_not_stored_is_lost(history):
    wrong = found(history.store(4))
    assert wrong.pop((STORE, "lost")) == 1
    # Who was shown it saw what is not there.
    assert wrong == {("a", "unexpected"): 1, ("b", "unexpected"): 1}


def test_a_message_that_one_client_was_never_shown_is_lost_for_that_one(history):
    del history.lines[history.index("b", "got", 4)]
    assert found(history.store()) == {("b", "lost"): 1}


def test_what_came_before_the_sync_was_answered_does_not_count_as_shown(history):
    history.lines[history.index("b", "got", 4)]["what"] = "early"
    assert found(history.store()) == {("b", "lost"): 1}


def test_what_was_there_before_a_client_first_came_is_not_missed(history):
    history.add("late", "start", positions={"room": 5})
    history.show("late", 6)
    assert found(history.store()) == {}


def test_a_client_that_first_came_late_still_misses_what_came_later(history):
    history.add("late", "start", positions={"room": 4})
    history.show("late", 6)
    assert found(history.store()) == {("late", "lost"): 1}


def test_what_was_left_out_by_a_reset_counts_when_it_was_paged(history):
    index = history.index("b", "got", 4)
    history.lines[index]["what"] = "paged"
    assert found(history.store()) == {}


# Duplicates


def test_a_message_that_is_stored_twice_is_a_duplicate(history):
    lines = history.store()
    lines.append({**lines[-1], "seq": 7, "message": "m7"})
    assert found(lines) == {(STORE, "duplicate"): 1, ("a", "lost"): 1, ("b", "lost"): 1}


def test_a_message_that_was_acknowledged_as_two_is_a_duplicate(history):
    history.add("a", "ack", id="a-4", message="m9", seq=9, again=True)
    lines = [line for line in history.store() if line["what"] != "stored" or line["seq"] != 9]
    assert found(lines) == {(STORE, "duplicate"): 1}


def test_a_message_that_is_acknowledged_again_as_the_same_is_ok(history):
    history.add("a", "ack", id="a-4", message="m4", seq=4, again=True)
    assert found(history.store()) == {}


@pytest.mark.parametrize("behind", [4, 6])
def test_a_message_that_is_shown_twice_is_a_duplicate(history, behind):
    index = history.index("b", "got", behind)
    history.lines.insert(index + 1, history.lines[history.index("b", "got", 4)])
    assert found(history.store()) == {("b", "duplicate"): 1}


# Order


def test_two_messages_that_are_shown_the_wrong_way_round_are_reordered(history):
    first, second = history.index("b", "got", 4), history.index("b", "got", 5)
    lines = history.lines
    lines[first], lines[second] = lines[second], lines[first]
    assert found(history.store()) == {("b", "reordered"): 1}


def test_a_history_that_does_not_ascend_is_reordered(history):
    lines = history.store()
    lines[-1], lines[-2] = lines[-2], lines[-1]
    assert found(lines) == {(STORE, "reordered"): 1}


def test_a_message_with_a_lower_number_than_one_that_was_there_before_it_is_reordered(history):
    """The number 3 is given to what was sent when 4 had been acknowledged."""
    lines = history.store()
    send = next(line for line in lines if line["what"] == "send" and line["id"] == "b-3")
    ack = next(line for line in lines if line["what"] == "ack" and line["id"] == "b-3")
    send["t"], ack["t"] = 100.0, 101.0
    assert found(lines) == {(STORE, "reordered"): 1}


def test_two_messages_that_were_under_way_at_once_may_have_either_order(history):
    lines = history.store()
    next(line for line in lines if line["what"] == "ack" and line["id"] == "b-3")["t"] = 100.0
    assert found(lines) == {}


# What nobody sent


def test_a_message_that_nobody_sent_is_unexpected(history):
    lines = [line for line in history.store() if line.get("id") != "a-4" or line["what"] != "send"]
    lines = [line for line in lines if line.get("id") != "a-4" or line["what"] != "ack"]
    assert found(lines) == {(STORE, "unexpected"): 1}


def test_a_message_in_another_room_is_unexpected_and_missed_in_its_own(history):
    history.lines[history.index("a", "got", 4)]["room"] = "other"
    history.add("a", "start", positions={"other": 0})
    assert found(history.store()) == {("a", "unexpected"): 1, ("a", "lost"): 1}


@pytest.mark.parametrize("change", [{"seq": 40}, {"message": "m40"}])
def test_numbers_that_differ_from_the_acknowledged_ones_are_unexpected(history, change):
    ack = next(line for line in history.lines if line["what"] == "ack" and line["id"] == "a-4")
    lines = history.store()
    ack |= change
    assert found(lines) == {(STORE, "unexpected"): 1}


@pytest.mark.parametrize(
    "line",
    [
        {"what": "sent away", "code": 4010},
        {"what": "miscounted", "room": "room", "text": "two in place of three"},
    ],
)
def test_what_no_client_of_the_protocol_should_meet_is_unexpected(history, line):
    history.add("a", **line)
    assert found(history.store()) == {("a", "unexpected"): 1}


def test_a_client_that_never_came_is_unexpected(history):
    history.add("c", "is", user="c", rooms=["room"])
    assert found(history.store()) == {("c", "unexpected"): 1}


def test_a_refusal_for_good_is_unexpected(history):
    history.add("a", "send", id="a-7", room="room")
    history.add("a", "refused", id="a-7", code="not_found")
    assert found(history.store()) == {(STORE, "unexpected"): 1}


# What nobody vouched for


@pytest.mark.parametrize("stored", [True, False])
def test_an_unacknowledged_message_may_be_stored_or_not(history, stored):
    history.add("b", "send", id="b-7", room="room")
    lines = history.store()
    if stored:
        for who, what in (("a", "got"), ("b", "got"), ("reader", "stored")):
            history.show(who, 7, what)
    assert found(lines) == {}
    assert judge(lines).counts[STORE, "unacknowledged"] == 1


def test_an_unacknowledged_message_must_not_be_stored_twice(history):
    history.add("b", "send", id="b-7", room="room")
    lines = history.store()
    for seq in (7, 8):
        for who, what in (("a", "got"), ("b", "got"), ("reader", "stored")):
            line = {"room": "room", "seq": seq, "message": f"m{seq}", "id": "b-7"}
            history.add(who, what, **line)
    assert found(lines) == {(STORE, "duplicate"): 1}


def test_an_unacknowledged_message_that_is_stored_must_be_shown_to_all(history):
    history.add("b", "send", id="b-7", room="room")
    lines = history.store()
    for who, what in (("a", "got"), ("reader", "stored")):
        history.show(who, 7, what)
    assert found(lines) == {("b", "lost"): 1}
