"""Personal messages: numbered in each inbox, read by number or one by one, and taken out."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from peewee import Database

from anmei.commands import Outcome
from anmei.commands_inbox import RemoveFromInbox
from anmei.errors import AnmeiError, ErrorCode
from anmei.inbox import inbox_key
from db import link, queries
from db.link import fetch
from db.store import Store
from tests.db.chat import NOW, do, key, mark_inbox, post, reply, touch
from tests.db.test_races import together

Event = tuple[int, str, dict[str, Any]]


def events(store: Store, user: str, after: int = 0, limit: int = 1_000) -> list[Event]:
    return store.read(queries.changes, inbox_key(key(user)), after, limit).result(60).events


def inbox(store: Store, user: str, **more: Any) -> list[dict[str, Any]]:
    wanted = {"cursor": None, "limit": 200, "unread": False} | more
    return store.read(queries.inbox, key(user), *wanted.values()).result(60)[0]


def unread(store: Store, user: str) -> int:
    """As the counter says, which must be as many as the rows say."""
    view = store.read(queries.attach_view, key(user), "none", 1).result(60)
    counted = store.read(queries.unread, key(user)).result(60)
    assert view.inbox_unread == counted["inbox"]
    return view.inbox_unread


def remove(store: Store, user: str, id: str) -> Outcome:
    return do(store, RemoveFromInbox(key(user), id, NOW + 9_000))[0]


def test_a_message_to_several_is_one_message_with_a_number_in_each_inbox(store: Store) -> None:
    do(store, post("ann"))
    (outcome,) = do(
        store, post("bob", "ann", "bob", content="你好", title="T", category="c", priority="high")
    )
    assert outcome.post is not None
    assert outcome.post.numbers == {key("ann"): 2, key("bob"): 1}
    assert outcome.reply is not None
    assert outcome.reply["recipient_count"] == 2
    (seen,) = inbox(store, "bob")
    assert seen == {
        **outcome.post.message,
        **{"seq": 1, "inbox_seq": 1, "change_seq": 1, "is_read": False, "read_at": None},
    }
    assert (seen["title"], seen["category"], seen["content"]) == ("T", "c", "你好")
    assert [(number, type) for number, type, _ in events(store, "ann")] == [
        (1, "notification"),
        (2, "notification"),
    ]
    assert unread(store, "ann") == 2
    assert unread(store, "cid") == 0
    assert events(store, "cid") == []


def test_the_same_key_again_is_the_same_message_and_is_handed_out_again(store: Store) -> None:
    first = do(store, post("ann", "bob", client_msg_id="k", content="one"))[0]
    assert first.reply is not None
    (again,) = do(store, post("cid", client_msg_id="k", content="two"))
    assert again.reply == {**first.reply, "duplicate": True}
    assert again.post == first.post
    assert inbox(store, "cid") == []
    # Another sender's key is another one, and so is one of a conversation.
    assert reply(store, post("cid", client_msg_id="k", sender="bank"))["duplicate"] is False
    # Whom something has become of since is not told of the beginning once more.
    do(store, mark_inbox("ann", None, first.reply["message"]["id"]))
    (again,) = do(store, post("cid", client_msg_id="k"))
    assert again.post is not None
    assert again.post.numbers == {key("bob"): 1}
    assert again.reply is not None
    assert again.reply["recipient_count"] == 2


def test_an_attempt_whose_answer_was_lost_is_answered_as_new(store: Store) -> None:
    command = post("ann")
    assert reply(store, command)["duplicate"] is False
    assert reply(store, command)["duplicate"] is False
    assert len(inbox(store, "ann")) == 1


def test_reading_up_to_a_number_is_one_change_and_reading_by_ids_one_for_each(
    store: Store,
) -> None:
    ids = [reply(store, post("ann"))["message"]["id"] for _ in range(5)]
    (outcome,) = do(store, mark_inbox("ann", None, ids[3], ids[1], ids[3], "msg_0"))
    assert [(change.change_seq, change.type) for change in outcome.changes] == [
        (6, "notification_updated"),
        (7, "notification_updated"),
    ]
    assert [change.data["id"] for change in outcome.changes] == [ids[1], ids[3]]
    assert all(change.data["is_read"] and change.data["read_at"] for change in outcome.changes)
    assert outcome.reply is not None
    assert (outcome.reply["unread"], outcome.reply["seq"]) == (3, 0)
    assert outcome.mark is not None
    assert outcome.mark.unread == 3
    (outcome,) = do(store, mark_inbox("ann", 3))
    assert [(change.change_seq, change.type) for change in outcome.changes] == [(8, "inbox_read")]
    assert outcome.changes[0].data["read_seq"] == 3
    assert unread(store, "ann") == 1
    # What is read already changes nothing, and takes no number.
    for nothing in (mark_inbox("ann", 2), mark_inbox("ann", None, ids[0]), mark_inbox("bob", 9)):
        (outcome,) = do(store, nothing)
        assert (outcome.changes, outcome.mark) == ((), None)
    (outcome,) = do(store, mark_inbox("ann", 2**53))
    assert outcome.reply is not None
    assert (outcome.reply["unread"], outcome.reply["last_seq"]) == (0, 9)
    assert [message["is_read"] for message in inbox(store, "ann")] == [True] * 5


def test_a_device_that_was_away_learns_what_was_read_and_what_was_taken_out(store: Store) -> None:
    ids = [reply(store, post("ann"))["message"]["id"] for _ in range(6)]
    do(store, mark_inbox("ann", None, ids[1]), mark_inbox("ann", 1))
    assert remove(store, "ann", ids[4]).changes[0].change_seq == 9
    assert [(number, type) for number, type, _ in events(store, "ann", 4)] == [
        (6, "notification"),
        (7, "notification_updated"),
        (8, "inbox_read"),
        (9, "notification_removed"),
    ]
    assert events(store, "ann", 8)[0][2] == {
        **{"id": ids[4], "conversation_id": None, "inbox_seq": 5, "change_seq": 9}
    }
    # Who lacks a message takes it as new, whatever became of it.
    assert [type for _, type, _ in events(store, "ann", 0)].count("notification") == 5
    assert [len(events(store, "ann", 0, size)) for size in (3, 7, 9)] == [3, 7, 7]
    begun, page = store.read(queries.newest, inbox_key(key("ann")), 2).result(60)
    assert (begun, page.head) == (4, 9)
    assert [number for number, _, _ in page.events] == [6, 8, 9]


def test_what_is_taken_out_is_gone_for_one_and_there_for_the_others(store: Store) -> None:
    id = reply(store, post("ann", "bob"))["message"]["id"]
    outcome = remove(store, "ann", id)
    assert outcome.reply == {"message_id": id, "unread": 0}
    assert inbox(store, "ann") == []
    assert inbox(store, "ann", unread=True) == []
    assert unread(store, "ann") == 0
    assert remove(store, "ann", id).changes == ()
    assert [message["id"] for message in inbox(store, "bob")] == [id]
    for error in (remove(store, "cid", id).error, remove(store, "bob", "msg_0").error):
        assert isinstance(error, AnmeiError)
        assert error.code is ErrorCode.NOT_FOUND


def test_very_many_are_marked_a_part_at_a_time(store: Store) -> None:
    do(store, *[post("ann") for _ in range(25)])
    command = mark_inbox("ann", 2**53, most=10, device_id="phone")
    reached, changed = [], []
    for _ in range(3):
        (outcome,) = do(store, command)
        assert outcome.reply is not None
        reached.append((outcome.reply["seq"], outcome.reply["unread"], outcome.reply["more"]))
        changed += [change.change_seq for change in outcome.changes]
    assert reached[:2] == [(10, 15, True), (20, 5, True)]
    assert reached[2][1:] == (0, False)
    assert changed == [26, 27, 28]
    assert unread(store, "ann") == 0


def test_delivery_is_noted_and_moves_the_place_of_the_device(store: Store) -> None:
    do(store, touch("ann", "phone"), touch("bob", "phone"))
    ids = [reply(store, post("ann", "bob"))["message"]["id"] for _ in range(3)]

    def place(user: str = "ann", device: str = "phone") -> int | None:
        view = store.read(queries.attach_view, key(user), device, 1).result(60)
        assert view.inbox is not None
        return view.inbox.device_seq

    def delivered(user: str) -> list[bool]:
        sql = (
            "SELECT delivered_at IS NOT NULL FROM message_recipients"
            " WHERE recipient_key = %s ORDER BY seq"
        )
        rows = store.read(lambda database: fetch(database, sql, (key(user),))).result(60)
        return [bool(row[0]) for row in rows]

    assert place() is None
    (outcome,) = do(store, mark_inbox("ann", 2, read=False, device_id="phone"))
    assert (outcome.changes, outcome.mark) == ((), None)
    assert place() == 2
    assert place("bob") is None
    assert delivered("ann") == [True, True, False]
    assert delivered("bob") == [False, False, False]
    do(store, mark_inbox("bob", None, ids[2], read=False, device_id="phone"))
    assert (place("bob"), delivered("bob")) == (3, [False, False, True])
    do(store, mark_inbox("ann", 1, read=False, device_id="phone"))
    assert place() == 2
    # Who has read one has not received what nobody has read yet.
    do(store, touch("cid", "phone"), post("cid"), post("cid"), post("cid"))
    named = [message["id"] for message in reversed(inbox(store, "cid"))]
    places = []
    for id in (named[2], named[0], named[1]):
        do(store, mark_inbox("cid", None, id, device_id="phone"))
        places.append(place("cid"))
    assert places == [None, 1, 2]
    do(store, mark_inbox("bob", 3, read=True, device_id="tablet"))
    assert (place("bob", "tablet"), delivered("bob")) == (None, [True, True, True])


def test_text_that_no_database_keeps_is_refused_and_nothing_is_stored(store: Store) -> None:
    good, bad = do(store, post("ann"), post("ann", title="a\0b"))
    assert good.error is None
    assert bad.error is not None
    assert bad.error.code is ErrorCode.BAD_REQUEST
    assert len(inbox(store, "ann")) == 1


def test_pages_of_an_inbox_hold_each_message_once(store: Store) -> None:
    ids = [reply(store, post("ann"))["message"]["id"] for _ in range(7)]
    do(store, mark_inbox("ann", 2))
    for only, wanted in ((False, ids[::-1]), (True, ids[:1:-1])):
        found, cursor = [], None
        while True:
            page, cursor = store.read(queries.inbox, key("ann"), cursor, 3, only).result(60)
            found += [message["id"] for message in page]
            if cursor is None:
                break
        assert found == wanted
    with pytest.raises(AnmeiError):
        store.read(queries.inbox, key("ann"), "nonsense", 3, False).result(60)


def test_pages_of_long_messages_are_short_ones(store: Store) -> None:
    for _ in range(7):
        do(store, post("ann", content="x" * 60_000))
    sizes, cursor = [], None
    while not sizes or cursor is not None:
        page, cursor = store.read(queries.inbox, key("ann"), cursor, 200, False).result(60)
        sizes.append(len(page))
    assert sizes == [5, 2]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that is run, by its first words."""
    seen: list[str] = []
    plain = link.execute

    def execute(database: Database, sql: str, values: Any = ()) -> Any:
        seen.append(sql[:40])
        return plain(database, sql, values)

    monkeypatch.setattr(link, "execute", execute)
    return seen


def test_ten_thousand_recipients_cost_a_statement_for_each_thousand_rows(
    store: Store, statements: list[str]
) -> None:
    people = [f"user{number}" for number in range(10_000)]
    for _ in range(2):
        statements.clear()
        assert reply(store, post(*people))["recipient_count"] == 10_000
        copies = [sql for sql in statements if sql.startswith("INSERT INTO message_recipients")]
        assert 1 <= len(copies) <= 10
    # The inboxes are there by now: nothing else is inserted but the message.
    assert sum(sql.startswith("INSERT") for sql in statements) <= 11
    assert len(statements) <= 25


def test_nodes_that_write_to_the_same_users_make_no_gap_repeat_or_deadlock(
    url: str, open_store: Callable[..., Store]
) -> None:
    stores = [open_store(url), open_store(url)]
    users = [f"u{number}" for number in range(12)]
    outcomes: list[Outcome] = []

    def node(store: Store, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(12):
            commands: list[Any] = []
            for _ in range(6):
                some = chance.sample(users, 8)
                commands += [post(*some), mark_inbox(chance.choice(users), chance.randrange(40))]
                commands.append(touch(chance.choice(users)))
            chance.shuffle(commands)
            outcomes.extend(do(store, *commands))

    together(*[lambda s=store, n=seed: node(s, n) for seed in (1, 2) for store in stores])  # type: ignore[misc]
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    numbers: dict[str, list[int]] = {key(user): [] for user in users}
    for outcome in outcomes:
        for change in outcome.changes:
            numbers[change.conversation_key.removesuffix("!inbox")].append(change.change_seq)
        for user_key, number in outcome.post.numbers.items() if outcome.post else ():
            numbers[user_key].append(number)
    for user in users:
        found = sorted(numbers[key(user)])
        assert found == list(range(1, len(found) + 1))
        unread(stores[0], user)


def test_the_same_message_posted_through_two_nodes_at_once_is_one(
    url: str, open_store: Callable[..., Store]
) -> None:
    stores = [open_store(url), open_store(url)]
    answers: list[tuple[str, bool]] = []

    def node(store: Store) -> None:
        for number in range(40):
            found = reply(store, post("ann", f"u{number}", client_msg_id=f"c{number}"))
            answers.append((found["message"]["id"], found["duplicate"]))

    together(*[lambda s=store: node(s) for store in stores])  # type: ignore[misc]
    assert len({id for id, _ in answers}) == 40
    assert sum(duplicate for _, duplicate in answers) == 40
    assert sorted(message["seq"] for message in inbox(stores[0], "ann")) == list(range(1, 41))
