from collections.abc import Callable
from typing import Any

import pytest
from peewee import Database

from anmei.commands import Outcome
from anmei.errors import ErrorCode
from db import link, queries
from db.store import Store
from tests.db.chat import NOW, add, create, do, key, read, remove, reply, send, touch


def codes(outcomes: list[Outcome]) -> list[ErrorCode | None]:
    return [None if outcome.error is None else outcome.error.code for outcome in outcomes]


def test_a_new_conversation_is_answered_and_told_to_everybody_in_it(store: Store) -> None:
    do(store, touch("ann"))
    (outcome,) = do(store, create("room", "ann", "bob", "ann", title="Tea"))
    conversation = {
        "conversation_id": "room",
        "kind": "group",
        "title": "Tea",
        "owner_id": "ann",
        "participant_count": 2,
        "participants": [
            {"user_id": "ann", "name": "Ann", "role": "owner"},
            {"user_id": "bob", "name": "bob", "role": "member"},
        ],
        "created_at": "2026-01-02T03:04:05.678Z",
        "updated_at": "2026-01-02T03:04:05.678Z",
        "last_seq": 0,
        "change_seq": 1,
    }
    assert outcome.reply == {"conversation": conversation, "created": True}
    (change,) = outcome.changes
    assert (change.change_seq, change.type, change.removed) == (1, "conversation_updated", ())
    assert change.data == {
        "conversation_id": "room",
        "change_seq": 1,
        "conversation": conversation,
    }
    assert change.audience.members == {key("ann"), key("bob")}


def test_a_pair_has_one_direct_conversation_whoever_asks(store: Store) -> None:
    outcomes = do(
        store,
        create("one", "ann", "bob", kind="direct"),
        create("two", "bob", "ann", kind="direct", created_at=NOW + 1),
    )
    outcomes += do(store, create("three", "ann", "bob", kind="direct", created_at=NOW + 2))
    found = [outcome.reply or {} for outcome in outcomes]
    assert [reply["conversation"]["conversation_id"] for reply in found] == ["one"] * 3
    assert [reply["created"] for reply in found] == [True, False, False]
    assert [len(outcome.changes) for outcome in outcomes] == [1, 0, 0]


def test_a_direct_conversation_has_two_people(store: Store) -> None:
    outcomes = do(
        store,
        create("a", "ann", kind="direct"),
        create("b", "ann", "ann", kind="direct"),
        create("c", "ann", "bob", "cid", kind="direct"),
        create("d", "ann", "bob", kind="party"),
    )
    assert codes(outcomes) == [ErrorCode.BAD_REQUEST] * 4


def test_an_idempotency_key_makes_one_conversation_for_its_owner(store: Store) -> None:
    first = reply(store, create("one", "ann", idempotency_key="k"))
    again = reply(store, create("two", "ann", idempotency_key="k", created_at=NOW + 1))
    other = reply(store, create("three", "bob", idempotency_key="k"))
    assert (first["created"], again["created"], other["created"]) == (True, False, True)
    assert again["conversation"] == first["conversation"]


def test_an_idempotency_key_is_for_one_conversation_whatever_is_asked_for(store: Store) -> None:
    asked = [
        create("pair", "ann", "bob", kind="direct", idempotency_key="k"),
        create("other", "ann", "cid", kind="direct", idempotency_key="k", created_at=NOW + 1),
        create("room", "ann", idempotency_key="k", created_at=NOW + 2),
        # Found by its pair and not made: from then on the key is for that one.
        create("again", "bob", "ann", kind="direct", idempotency_key="k", created_at=NOW + 3),
        create("mine", "bob", idempotency_key="k", created_at=NOW + 4),
    ]
    outcomes = do(store, *asked[:3]) + do(store, *asked[3:]) + do(store, *asked)
    found = [outcome.reply or {} for outcome in outcomes]
    assert [reply["conversation"]["conversation_id"] for reply in found] == ["pair"] * 10
    assert [reply["created"] for reply in found] == [True, *[False] * 4, True, *[False] * 4]


def test_an_id_that_is_taken_is_a_conflict_except_for_the_same_attempt(store: Store) -> None:
    first, again = (do(store, create("room", "ann"))[0] for _ in range(2))
    assert first.reply == again.reply
    assert [change.data for change in again.changes] == [change.data for change in first.changes]
    outcomes = do(store, create("room", "ann", created_at=NOW + 1), create("room", "bob"))
    assert codes(outcomes) == [ErrorCode.CONFLICT] * 2


def test_nobody_of_another_tenant_comes_in(store: Store) -> None:
    foreign = create("room", "ann")
    foreign.participant_keys = ("globex/eve",)
    reply(store, create("mine", "ann"))
    late = add("mine", "ann")
    late.user_keys = ("globex/eve",)
    assert codes(do(store, foreign, late)) == [ErrorCode.NOT_FOUND] * 2


def test_adding_bumps_the_version_and_takes_a_number(store: Store) -> None:
    reply(store, create("room", "ann"))
    do(store, send("room", "ann"))
    (outcome,) = do(store, add("room", "ann", "bob", "ann", "bob", "cid"))
    (change,) = outcome.changes
    assert change.change_seq == 3
    assert change.audience.version == 2
    assert change.audience.members == {key("ann"), key("bob"), key("cid")}
    assert outcome.reply is not None
    shown = outcome.reply["conversation"]
    assert [who["user_id"] for who in shown["participants"]] == ["ann", "bob", "cid"]
    assert (shown["participant_count"], shown["change_seq"], shown["last_seq"]) == (3, 3, 2)
    audience = store.read(queries.audience, key("room")).result(60)
    assert audience == change.audience


def test_adding_nobody_new_changes_nothing_but_the_same_attempt_is_told_again(store: Store) -> None:
    reply(store, create("room", "ann", "bob"))
    (first,) = do(store, add("room", "ann", "cid"))
    (again,) = do(store, add("room", "ann", "cid"))
    (later,) = do(store, add("room", "ann", "cid", at=NOW + 9_000), add("room", "ann"))[:1]
    assert first.reply == again.reply == later.reply
    assert again.changes == first.changes
    assert later.changes == ()


def test_only_the_owner_or_the_privileged_add(store: Store) -> None:
    reply(store, create("room", "ann", "bob"))
    outcomes = do(
        store,
        add("room", "bob", "cid"),
        add("room", "eve", "cid"),
        add("nowhere", "ann", "cid"),
        add("room", "eve", "cid", privileged=True),
    )
    assert codes(outcomes) == [ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.NOT_FOUND, None]


def test_nobody_is_added_to_or_leaves_a_direct_conversation(store: Store) -> None:
    reply(store, create("pair", "ann", "bob", kind="direct"))
    outcomes = do(store, add("pair", "ann", "cid"), remove("pair", "bob", "bob"))
    assert codes(outcomes) == [ErrorCode.BAD_REQUEST] * 2


def test_who_is_removed_hears_it_last(store: Store) -> None:
    reply(store, create("room", "ann", "bob", "cid"))
    (outcome,) = do(store, remove("room", "ann", "bob"))
    (change,) = outcome.changes
    assert change.removed == (key("bob"),)
    assert change.audience.members == {key("ann"), key("cid")}
    assert change.data["conversation"]["participant_count"] == 2
    (again,) = do(store, remove("room", "ann", "bob"))
    assert again.changes == outcome.changes
    assert codes(do(store, remove("room", "ann", "bob", at=NOW + 9_000))) == [ErrorCode.NOT_FOUND]


def test_who_may_remove_whom(store: Store) -> None:
    reply(store, create("room", "ann", "bob", "cid", "dan"))
    outcomes = do(
        store,
        remove("room", "bob", "cid"),
        remove("room", "eve", "cid"),
        remove("room", "ann", "ann"),
        remove("room", "ann", "eve"),
        remove("room", "bob", "bob"),
        remove("room", "eve", "cid", privileged=True),
        remove("nowhere", "ann", "bob"),
    )
    assert codes(outcomes) == [
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.BAD_REQUEST,
        ErrorCode.NOT_FOUND,
        None,
        None,
        ErrorCode.NOT_FOUND,
    ]


def test_who_comes_back_has_the_marks_of_before(store: Store) -> None:
    reply(store, create("room", "ann", "bob"))
    do(store, *[send("room", "ann") for _ in range(3)], read("room", "bob", 3))
    do(store, remove("room", "ann", "bob"), send("room", "ann"), add("room", "ann", "bob"))
    head = store.read(queries.conversation, key("bob"), key("room")).result(60)
    assert head is not None
    assert (head["last_read_seq"], head["unread"]) == (3, 2)


@pytest.mark.parametrize("count", [3_000])
def test_a_conversation_may_be_large(store: Store, count: int) -> None:
    users = [f"user{number:05}" for number in range(count)]
    outcome = reply(store, create("hall", "ann", *users))
    assert outcome["conversation"]["participant_count"] == count + 1
    assert len(outcome["conversation"]["participants"]) == 50
    assert outcome["conversation"]["participants"][0]["user_id"] == "ann"


def test_a_touched_user_takes_the_name_of_the_token(store: Store) -> None:
    reply(store, create("room", "ann", "bob"))
    do(store, touch("bob", name="Bob"), touch("bob", "laptop", name="Bobby"), touch("bob"))
    page = store.read(queries.participants, key("ann"), key("room"), None, 10).result(60)
    assert page is not None
    assert [who["name"] for who in page[0]] == ["ann", "Bob"]


def test_refusing_a_stranger_costs_the_same_however_large_the_conversation(
    url: str, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    reply(open_store(url), create("hall", "ann", *[f"user{number}" for number in range(300)]))
    read_rows: list[int] = []
    fetch = link.fetch

    def counting(database: Database, sql: str, values: Any = ()) -> list[Any]:
        rows = fetch(database, sql, values)
        read_rows.append(len(rows))
        return rows

    # Another process, which remembers no audience yet.
    store = open_store(url)
    monkeypatch.setattr(link, "fetch", counting)
    strangers = do(
        store,
        send("hall", "eve"),
        add("hall", "eve", "joe"),
        remove("hall", "eve", "user1"),
        remove("hall", "eve", "eve"),
    )
    assert codes(strangers) == [ErrorCode.NOT_FOUND] * 4
    assert read_rows
    assert max(read_rows) <= 1
    assert codes(do(store, send("hall", "ann"))) == [None]
    assert max(read_rows) == 301


def test_no_conversation_grows_past_its_limit_even_by_additions_at_once(store: Store) -> None:
    reply(store, create("room", "ann", "bob", most=4))
    outcomes = do(
        store,
        add("room", "ann", "cid", "dan", most=4),
        add("room", "ann", "dan", "eve", most=4),
        add("room", "ann", "dan", "cid", most=4, at=NOW + 5_000),
        create("other", "ann", "bob", "cid", "dan", "eve", most=4),
    )
    too_large = ErrorCode.TOO_LARGE
    assert codes(outcomes) == [None, too_large, None, too_large]
    assert outcomes[1].error is not None
    assert "at most 4 are allowed (ANMEI_LIMIT_MEMBERS)" in outcomes[1].error.message
    audience = store.read(queries.audience, key("room")).result(60)
    assert audience is not None
    assert len(audience.members) == 4
    assert store.read(queries.audience, key("other")).result(60) is None


def test_nobody_owns_more_conversations_than_allowed_unless_a_service_makes_them(
    store: Store,
) -> None:
    outcomes = do(
        store,
        create("one", "ann", most_owned=2),
        create("two", "ann", most_owned=2, idempotency_key="k"),
        create("three", "ann", most_owned=2),
        create("three", "ann", "bob", kind="direct", most_owned=2),
        create("again", "ann", most_owned=2, idempotency_key="k"),
        create("bobs", "bob", "ann", most_owned=2),
        create("services", "ann", most_owned=2, privileged=True),
        create("unlimited", "ann", most_owned=0),
    )
    too_large = ErrorCode.TOO_LARGE
    assert codes(outcomes) == [None, None, too_large, too_large, None, None, None, None]
    assert outcomes[2].error is not None
    assert "(ANMEI_LIMIT_CONVERSATIONS_PER_OWNER)" in outcomes[2].error.message
