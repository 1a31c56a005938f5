"""What was committed although the answer was lost is told all the same."""

from typing import Any

import pytest

from anmei.commands_files import CreateUpload, FinishUpload, RemoveFile, SaveUpload, TakeUpload
from anmei.commands_inbox import RemoveFromInbox
from anmei.commands_preferences import SetPreference
from anmei.errors import ErrorCode
from db.audiences import Audiences
from db.link import Link, execute, is_postgres
from db.migrate import migrate
from db.query_audit import audit
from db.writes import run
from tests.db.chat import NOW, change, create, delivered, key, mark_inbox, post, read, send

BOB = key("bob")


@pytest.fixture
def twice(database_url: str) -> Any:
    """`twice(command)` executes it in two transactions, the second of which knows no more than that
    the first may have been committed; both outcomes."""
    migrate(database_url)
    link = Link(database_url, 5_000)

    def execute_twice(command: Any) -> tuple[Any, Any]:
        outcomes = []
        for again in (False, True):
            execute(link.database, "BEGIN" if is_postgres(link.database) else "BEGIN IMMEDIATE")
            outcomes += run(link.database, Audiences(), [command], again)
            execute(link.database, "COMMIT")
        return outcomes[0], outcomes[1]

    yield execute_twice
    link.drop()


def test_marks_are_told_with_whom_they_concern(twice: Any) -> None:
    twice(create("room", "ann", "bob"))
    twice(send("room", "ann"))
    for command in (delivered("room", "bob", 2), read("room", "bob", 2)):
        first, second = twice(command)
        assert first.mark is not None
        assert second.mark == first.mark
        assert second.mark.senders == {key("ann")}


def test_what_became_of_an_inbox_is_told_under_the_same_numbers(twice: Any) -> None:
    ids = [twice(post("bob"))[0].reply["message"]["id"] for _ in range(3)]
    for command in (
        mark_inbox("bob", None, ids[1]),
        mark_inbox("bob", 3),
        RemoveFromInbox(BOB, ids[0], NOW),
    ):
        first, second = twice(command)
        assert len(first.changes) == 1
        assert second.changes == first.changes
        assert second.mark == first.mark
        assert second.reply == first.reply


def test_preferences_are_told_and_an_upload_is_begun_once(twice: Any) -> None:
    twice(create("room", "ann", "bob"))
    first, second = twice(SetPreference(BOB, key("room"), NOW, draft="x", written_at=NOW))
    assert second.told == first.told != ()
    upload = CreateUpload("file_1", "acme", BOB, 9, "a", "text/plain", None, NOW, NOW, 10, 1)
    first, second = twice(upload)
    assert (first.error, first.reply) == (second.error, second.reply) == (None, {"received": 0})


def test_an_upload_goes_on_and_ends_as_if_the_answer_had_come(twice: Any) -> None:
    twice(CreateUpload("file_1", "acme", BOB, 9, "a", "text/plain", None, NOW, NOW + 9_000))
    for command in (
        TakeUpload("file_1", BOB, "lease_1", NOW, NOW + 3_000, 0),
        SaveUpload("file_1", "lease_1", 9, "there", NOW + 3_000, NOW + 9_000),
        FinishUpload("file_1", "lease_1", "there", "ab", "text/plain", False, NOW + 9_000),
        RemoveFile("file_1", BOB, NOW + 1),
    ):
        first, second = twice(command)
        assert (first.error, second.error) == (None, None)
        assert second.reply == first.reply
    # It says nothing to anybody else, and nothing of another attempt.
    for command in (
        RemoveFile("file_1", key("ann"), NOW + 1),
        RemoveFile("file_1", BOB, NOW + 2),
        TakeUpload("file_1", BOB, "lease_2", NOW, NOW + 3_000),
    ):
        assert [one.error.code for one in twice(command)] == [ErrorCode.NOT_FOUND] * 2


def test_a_forward_is_written_down_once(twice: Any, database_url: str) -> None:
    twice(create("one", "ann", "bob"))
    twice(create("two", "ann"))
    twice(send("one", "bob", message_id="msg_1"))
    first, second = twice(change.forward("msg_1", "ann", "one", "two"))
    assert second.reply == first.reply
    assert second.changes == first.changes
    link = Link(database_url, 5_000)
    rows, _ = audit(link.database, "acme", None, "msg_1", None, None, 9)
    link.drop()
    assert [row["action"] for row in rows] == ["forward"]
