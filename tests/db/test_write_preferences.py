"""What a user sets for a conversation is the same for all of the user's devices."""

from typing import Any

import pytest

from anmei.commands_preferences import FOREVER, SetPreference
from db import queries
from db.store import Store
from tests.db.chat import NOW, create, do, key, remove, reply, touch

LATER = NOW + 60_000


@pytest.fixture(autouse=True)
def room(store: Store) -> None:
    do(store, create("room", "ann", "bob"), create("hall", "ann", "bob"))


def change(user: str = "ann", room: str = "room", **more: Any) -> SetPreference:
    more.setdefault("at", NOW)
    return SetPreference(user_key=key(user), conversation_key=key(room), **more)


def preferences(store: Store, after: int = 0, user: str = "ann") -> list[dict[str, Any]]:
    return store.read(queries.preferences, key(user), after, 9).result(60)


def test_what_is_not_named_stays_as_it_is(store: Store) -> None:
    do(store, change(muted_until=FOREVER), change(pinned=True))
    (outcome,) = do(store, change(draft="half a sent", written_at=NOW))
    shown = {
        "conversation_id": "room",
        "seq": 2,
        "muted": True,
        "muted_until": None,
        "pinned_at": "2026-01-02T03:04:05.678Z",
        "draft": "half a sent",
        "draft_at": "2026-01-02T03:04:05.678Z",
    }
    assert outcome.reply == {"preference": shown}
    assert preferences(store) == [shown]
    (told,) = outcome.told
    assert (told.user_key, told.type) == (key("ann"), "preference_update")
    assert told.data == {"preferences": [shown]}
    do(store, change(muted_until=LATER, pinned=False))
    (after,) = preferences(store)
    assert (after["muted"], after["muted_until"]) == (True, "2026-01-02T03:05:05.678Z")
    assert after["pinned_at"] is None


def test_each_change_takes_the_next_number_of_its_user(store: Store) -> None:
    do(store, change(pinned=True), change(room="hall", pinned=True), change("bob", pinned=True))
    do(store, change(pinned=False))
    assert [(one["conversation_id"], one["seq"] > 2) for one in preferences(store, 1)] == [
        ("hall", False),
        ("room", True),
    ]
    assert [one["conversation_id"] for one in preferences(store)] == ["hall"]
    seqs = store.read(queries.preference_seqs, [key("ann"), key("bob"), key("eve")]).result(60)
    assert seqs == {key("ann"): preferences(store, 1)[-1]["seq"], key("bob"): 1}


def test_the_draft_that_was_written_last_stays(store: Store) -> None:
    do(store, change(draft="newer", written_at=NOW + 5))
    (outcome,) = do(store, change(draft="older", written_at=NOW + 4))
    assert outcome.reply is not None
    assert outcome.reply["preference"]["draft"] == "newer"
    assert outcome.told == ()
    do(store, change(draft="", written_at=NOW + 6))
    do(store, change(draft="from a phone that was away", written_at=NOW + 5))
    (empty,) = preferences(store, 1)
    assert (empty["draft"], empty["draft_at"]) == ("", "2026-01-02T03:04:05.684Z")


def test_what_changes_nothing_takes_no_number_and_tells_nobody(store: Store) -> None:
    first = reply(store, change(pinned=True))["preference"]
    (outcome,) = do(store, change(pinned=True, at=LATER))
    assert (outcome.reply, outcome.told) == ({"preference": first}, ())


def test_changes_of_one_transaction_are_told_together(store: Store) -> None:
    one, two = do(store, change(pinned=True), change(draft="a", written_at=NOW))
    assert one.told == ()
    (told,) = two.told
    assert told.data["preferences"][0]["pinned_at"] is not None
    assert told.data["preferences"][0]["draft"] == "a"


def test_only_so_many_conversations_are_pinned(store: Store) -> None:
    pins = [change(room=room, pinned=True, most_pinned=1) for room in ("room", "hall", "room")]
    outcomes = do(store, *pins)
    assert [outcome.error and outcome.error.code.code for outcome in outcomes] == [
        None,
        "too_large",
        None,
    ]
    assert outcomes[1].error is not None
    assert "at most 1" in outcomes[1].error.message
    assert [one["conversation_id"] for one in preferences(store)] == ["room"]


def test_a_pin_that_nobody_can_take_down_any_more_does_not_count(store: Store) -> None:
    do(store, change("bob", pinned=True, most_pinned=1), remove("room", "ann", "bob"))
    (outcome,) = do(store, change("bob", room="hall", pinned=True, most_pinned=1))
    assert outcome.error is None


def test_a_conversation_that_is_not_ones_own_is_not_there(store: Store) -> None:
    do(store, remove("room", "ann", "bob"))
    outcomes = do(store, change("bob", pinned=True), change("ann", "absent", pinned=True))
    assert [outcome.error and outcome.error.code.code for outcome in outcomes] == ["not_found"] * 2


def test_a_status_is_kept_until_the_next_one(store: Store) -> None:
    def status() -> str:
        return store.read(queries.attach_view, key("ann"), "phone", 9).result(60).status

    assert status() == "online"
    do(store, touch("ann", None, status="dnd"))
    do(store, touch("ann"), touch("bob", None, status="away"))
    assert status() == "dnd"
    do(store, touch("ann", None, status="away"), touch("ann", None, status="busy"))
    assert status() == "busy"
