"""The queries of the busy paths find their rows by an index, however much else there is."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from peewee import Database

from anmei.commands_tokens import RevokeTokens
from anmei.search_terms import read_terms
from db import link, queries, search_index, tags, templates
from db.audiences import Audiences
from db.cursors import to_cursor
from db.store import Store
from db.writes import run
from tests.db.chat import (
    NOW,
    change,
    create,
    delivered,
    do,
    key,
    mark_inbox,
    post,
    read,
    send,
    touch,
)
from tests.db.search import index

STATUS = "msg_whose_status_is_asked"


@pytest.fixture
def filled(store: Store) -> Store:
    users = [f"u{number}" for number in range(30)]
    do(store, touch("u0"))
    for number in range(40):
        do(store, create(f"room{number}", *random.Random(number).sample(users, 12), "u0"))
    for number in range(40):
        do(store, *[send(f"room{number}", "u0") for _ in range(150)])
    do(store, send("room3", "u0", message_id=STATUS))
    do(store, *[post(*users[:10]) for _ in range(30)])
    return store


def explaining(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[Database], Any]
) -> Callable[[Database], list[str]]:
    """Does `work`, and hands out the plan of every query that it ran."""

    def explained(database: Database) -> list[str]:
        plans: list[str] = []
        plain = link.execute

        def execute(database: Database, sql: str, values: Any = ()) -> Any:
            if sql.startswith(("SELECT", "WITH")) and "advisory" not in sql:
                how = "EXPLAIN" if link.is_postgres(database) else "EXPLAIN QUERY PLAN"
                rows = plain(database, f"{how} {sql}", values).fetchall()
                plans.append(sql + "\n" + "\n".join(str(row[-1]) for row in rows))
            return plain(database, sql, values)

        with monkeypatch.context() as patch:
            patch.setattr(link, "execute", execute)
            work(database)
        return plans

    return explained


WORK: dict[str, Callable[[Database], Any]] = {
    "attach": lambda db: queries.attach_view(db, key("u3"), "phone", 5),
    "heads": lambda db: queries.heads(db, key("u3"), None, 5),
    "conversation": lambda db: queries.conversation(db, key("u0"), key("room3")),
    "changes": lambda db: queries.changes(db, key("room3"), 140, 50),
    "newest": lambda db: queries.newest(db, key("room3"), 50),
    "distance": lambda db: queries.distance(db, key("room3"), 20, 50),
    "backlogs": lambda db: [
        queries.changes_many(db, [(key("room3"), 140), (key("room4"), 149)], 50),
        queries.newest_many(db, [key("room3"), key("room4")]),
        queries.distances(db, [(key("room3"), 20), (key("room4"), 149)], 50),
    ],
    "message": lambda db: queries.message(db, "acme", key("u0"), "msg_0"),
    "pins": lambda db: queries.pins(db, key("u0"), key("room3"), None, 5),
    "reactions": lambda db: queries.reactions(db, "acme", key("u0"), "msg_0", None, None, 5),
    "history": lambda db: queries.history(db, key("u0"), key("room3"), 90, None, 50),
    "unread": lambda db: queries.unread(db, key("u3")),
    "unread_of": lambda db: queries.unread_of(db, [key(f"u{number}") for number in range(10)]),
    "for one user": lambda db: (
        queries.unread_and_newest(db, key("u3"), 9),
        queries.recent_statuses(db, [key("room3")], [STATUS], 9),
        queries.preferences(db, key("u3"), 0, 9),
        queries.device_place(db, key("u0"), "phone", key("room3")),
    ),
    "status": lambda db: queries.message_status(db, "acme", None, STATUS, None, 5),
    "attachment": lambda db: queries.attachment(db, key("u3"), "acme", "file_3"),
    "participants": lambda db: queries.participants(db, None, key("room3"), None, 5),
    "name": lambda db: queries.display_name(db, key("u3")),
    "memberships": lambda db: queries.memberships(db, {key("u3"): -1, key("u4"): -1}),
    "small": lambda db: queries.small_conversations(db, [key("u3"), key("u4")], 200),
    "changed": lambda db: queries.changed_since(db, [(key("room3"), 1), (key("room4"), 1)]),
    "export head": lambda db: queries.export_head(db, key("room3")),
    "export people": lambda db: queries.export_people(db, key("room3"), "acme/u2", 5),
    "export messages": lambda db: queries.export_messages(db, key("room3"), 90, 140, 20),
    "export reactions": lambda db: queries.export_reactions(db, "msg_1", ("", 0), 20),
    "import again": lambda db: queries.are_in(db, key("room3"), ["msg_1", "msg_2"]),
    "inbox": lambda db: [
        queries.inbox(db, key("u3"), None, 5, False),
        queries.inbox(db, key("u3"), None, 5, True),
        queries.changes(db, key("u3!inbox"), 20, 50),
        queries.newest(db, key("u3!inbox"), 50),
        queries.distance(db, key("u3!inbox"), 20, 50),
        queries.inbox_unread(db, key("u3!inbox"), 50),
        queries.changed_since(db, [(key("u3!inbox"), 1)]),
    ],
    "writes": lambda db: run(
        db,
        Audiences(),
        [
            *[send(f"room{n}", "u0", client_msg_id=f"c{n}") for n in range(5)],
            *[delivered(f"room{n}", "u0", 140, device_id="phone") for n in range(5, 9)],
            *[read(f"room{n}", "u0", 141, message_ids=("a", "b")) for n in range(9, 12)],
            post("u3", "u4", client_msg_id="again"),
            mark_inbox("u3", 5, device_id="phone"),
            mark_inbox("u4", None, "msg_1", "msg_2", device_id="phone"),
        ],
    ),
}


def look(database: Database, **wanted: Any) -> Any:
    return queries.search(database, key("u0"), queries.Wanted(**wanted), None, 20, 20_000)


SEARCHES: dict[str, Callable[[Database], Any]] = {
    "common": lambda db: look(db, terms=read_terms("hello"), sender_key=key("u0")),
    "rare": lambda db: look(db, terms=read_terms("rare 今天天气")),
    "one room": lambda db: look(db, terms=read_terms("hello"), conversation_key=key("room3")),
    "no words": lambda db: look(db, terms=read_terms(""), conversation_key=key("room3")),
    "tagged": lambda db: look(db, terms=read_terms(""), tag="todo"),
    "tags": lambda db: tags.tags(db, key("u0"), None, 5),
    "tags of one": lambda db: tags.tags_of(db, "message", key("u0"), STATUS),
    "tagged messages": lambda db: tags.tagged_messages(db, key("u0"), "todo", None, 5),
    "tagged rooms": lambda db: tags.tagged_conversations(db, key("u0"), "todo", None, 5),
    "categories": lambda db: tags.categories(db, key("u0")),
    "categorised": lambda db: tags.categorised(db, key("u0"), "work", None, 5),
    "templates": lambda db: templates.templates(db, "acme", None, 5),
    "indexing": lambda db: search_index.pending(db, search_index.Horizon(5_900, 1), 50),
}


def check_plans(plans: list[str]) -> None:
    assert plans
    for plan in plans:
        assert "Seq Scan on messages" not in plan, plan
        # SQLite names a table by its alias: m for messages, p for participants.
        for table in ("messages", "m", "p", "participants", "d", "devices", "r", "i", "a", "l"):
            assert f"SCAN {table}\n" not in plan + "\n", plan
            assert f"SCAN {table} " not in plan, plan


def test_messages_are_never_searched_through(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def analyzed(database: Database) -> list[list[str]]:
        link.execute(database, "ANALYZE")
        return [explaining(monkeypatch, work)(database) for work in WORK.values()]

    for plans in filled.read(analyzed).result(60):
        check_plans(plans)


def test_what_is_looked_for_and_sorted_is_found_by_an_index(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(filled, batch=2_000)

    def analyzed(database: Database) -> list[str]:
        link.execute(database, "ANALYZE")
        return [
            plan for work in SEARCHES.values() for plan in explaining(monkeypatch, work)(database)
        ]

    plans = filled.read(analyzed).result(60)
    check_plans(plans)
    for plan in plans:
        assert "Seq Scan on search_index" not in plan, plan
        assert "SCAN s\n" not in plan + "\n", plan
        if "search" in plan:
            assert "TEMP B-TREE" not in plan, plan


AUDIT: dict[str, tuple[str | None, ...]] = {
    "audit_tenant": (None, None, None),
    "audit_conversation": (key("room3"), None, None),
    "audit_message": (None, "msg_0", None),
    "audit_actor": (None, None, key("u0")),
}


@pytest.mark.parametrize("name", AUDIT)
def test_pages_of_the_audit_and_of_reactions_are_read_by_their_indexes(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    do(store, create("room3", "u0"), send("room3", "u0", message_id="msg_0"))
    do(store, *[change.react("msg_0", "u0", str(number)) for number in range(9)])

    def explained(database: Database) -> list[str]:
        if link.is_postgres(database):
            # It has few rows here, and would be read whole.
            link.execute(database, "SET enable_seqscan = off")
            link.execute(database, "SET enable_sort = off")
        after = to_cursor(5)
        page = explaining(
            monkeypatch, lambda db: queries.audit(db, "acme", *AUDIT[name], after, 5)
        )(database)
        after = to_cursor("3", 1)
        return page + explaining(
            monkeypatch, lambda db: queries.reactions(db, "acme", None, "msg_0", None, after, 5)
        )(database)

    plans = store.read(explained).result(60)
    assert name in plans[0]
    assert "reactions_listed" in plans[-1]
    for plan in (plans[0], plans[-1]):
        assert "Sort" not in plan.replace("SORT", "Sort"), plan
        assert "TEMP B-TREE" not in plan, plan


def test_what_a_user_owns_is_counted_by_an_index(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def owning(database: Database) -> Any:
        run(database, Audiences(), [create("new", "u0", most_owned=9)])

    def explained(database: Database) -> list[str]:
        if link.is_postgres(database):
            # It has few rows here, and would be read whole.
            link.execute(database, "SET enable_seqscan = off")
        return explaining(monkeypatch, owning)(database)

    plans = [plan for plan in filled.read(explained).result(60) if "owner_key = " in plan]
    assert len(plans) == 1
    assert "conversations_owner_key" in plans[0]


REVOCATIONS: dict[str, Callable[[Database], Any]] = {
    "follow": lambda db: queries.revocations_since(db, 3, 10),
    "list": lambda db: queries.revocations(db, "acme", NOW, None, 5),
    "revoke": lambda db: run(db, Audiences(), [revocation("new")]),
}


def revocation(id: str) -> RevokeTokens:
    return RevokeTokens("acme", f"jti acme/{id}", 0, NOW, NOW + 1_000, most=1_000)


@pytest.mark.parametrize("name", REVOCATIONS)
def test_revocations_are_found_by_an_index(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    do(store, *[revocation(str(number)) for number in range(50)])

    def explained(database: Database) -> list[str]:
        if link.is_postgres(database):
            link.execute(database, "SET enable_seqscan = off")
        return explaining(monkeypatch, REVOCATIONS[name])(database)

    plans = store.read(explained).result(60)
    assert plans
    for plan in plans:
        assert "SCAN revocations" not in plan, plan
        assert "Seq Scan" not in plan, plan
