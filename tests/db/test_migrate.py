"""What the migrations make of a database with rows in it."""

from typing import Any

import pytest
from playhouse.migrations import Runner

from db import queries
from db.link import Link, execute, fetch
from db.migrate import DIRECTORY, migrate
from db.store import Store
from tests.db.chat import NOW, create, key, reply


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_rows_of_the_first_tables_are_carried_over_and_back(
    kind: str, request: pytest.FixtureRequest, open_store: Any
) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    link = Link(url, 0)
    runner = Runner(link.database, DIRECTORY)
    runner.up("0001_first_tables")
    for number, name in ((1, f"once {key('ann')} k"), (2, f"direct {key('ann')} {key('bob')}")):
        execute(
            link.database,
            "INSERT INTO conversations VALUES"
            " (%s, %s, 'acme', 'group', NULL, %s, %s, 1, 9, 9, 1, 1, 1, %s)",
            (number, key(f"room{number}"), key("ann"), NOW, name),
        )
        execute(
            link.database,
            "INSERT INTO participants VALUES (%s, %s, 'owner', TRUE, 1, NULL, 7, 5)",
            (number, key("ann")),
        )
    link.drop()
    assert migrate(url)

    store: Store = open_store(url)
    view = store.read(queries.attach_view, key("ann"), "phone", 9).result(60)
    assert [place.joined_seq for place in view.places] == [8, 8]
    again = reply(store, create("new", "ann", "cid", kind="direct", idempotency_key="k"))
    assert (again["conversation"]["conversation_id"], again["created"]) == ("room1", False)
    again = reply(store, create("new", "bob", "ann", kind="direct"))
    assert (again["conversation"]["conversation_id"], again["created"]) == ("room2", False)
    store.close()

    Runner(link.database, DIRECTORY).down("0002_joined_seq")
    names = fetch(link.database, "SELECT dedup_key FROM conversations ORDER BY pk")
    assert names == [(f"once {key('ann')} k",), (f"direct {key('ann')} {key('bob')}",)]
    link.drop()
    assert migrate(url)
