"""kill -9 in the middle of writing: what was acknowledged is there, once, without gaps."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from db import queries
from db.store import Store
from tests.db.chat import do, key, send
from tests.support.child import Child
from tests.support.servers import Postgres

ROOT = Path(__file__).parents[2]


def acknowledged(log: str) -> dict[str, int]:
    words = [line.split() for line in log.splitlines() if line.startswith("ack ")]
    # The last line may have been cut.
    return {line[1]: int(line[2]) for line in words[:-1] if len(line) == 3}


def stored(store: Store) -> dict[str, int]:
    found: dict[str, int] = {}
    last = 0
    while True:
        page = store.read(queries.history, None, key("room"), None, last, 5_000).result(60)
        assert page is not None
        for message in page["messages"]:
            assert message["client_msg_id"] not in found
            found[message["client_msg_id"]] = last = message["seq"]
        if not page["has_more"]:
            return found


def judge(store: Store, log: str) -> None:
    promised, kept = acknowledged(log), stored(store)
    assert len(promised) >= 200
    assert promised.items() <= kept.items()
    assert sorted(kept.values()) == list(range(2, len(kept) + 2))
    # A batch is there whole or not at all, and what comes next takes the next number.
    assert len(kept) % 7 == 0
    (outcome,) = do(store, send("room", "ann"))
    assert outcome.changes[0].change_seq == len(kept) + 2


def writer(url: str) -> Child:
    child = Child([sys.executable, "-m", "tests.db.writer", url], cwd=ROOT)
    child.wait_for_line(r"ack 40\.6", 60)
    return child


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_writer_that_is_killed_has_lost_nothing_it_acknowledged(
    kind: str,
    request: pytest.FixtureRequest,
    own_postgres: Postgres,
    open_store: Callable[..., Store],
) -> None:
    if kind == "sqlite":
        url = str(request.getfixturevalue("sqlite_url"))
    else:
        url = own_postgres.create_database()
    child = writer(url)
    child.kill9()
    child.close()
    judge(open_store(url), child.log)


def test_a_server_that_is_killed_has_lost_nothing_that_was_acknowledged(
    own_postgres: Postgres, open_store: Callable[..., Store]
) -> None:
    url = own_postgres.create_database()
    child = writer(url)
    own_postgres.kill9()
    child.wait()
    child.close()
    own_postgres.start()
    judge(open_store(url), child.log)
