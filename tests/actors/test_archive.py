"""The archive: committed, then acknowledged, then routed; and one answer each, never two."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager

import pytest

from actors import archive as archive_module
from actors.archive import Archive
from actors.counters import Counters
from anmei.commands import (
    AddParticipants,
    CreateConversation,
    MoveMarks,
    Outcome,
    SendMessage,
)
from anmei.commands_changes import EditMessage
from anmei.commands_inbox import PostMessage
from anmei.commands_preferences import SetPreference
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import new_id
from db.store import Store

KEY = "default/room"


class Listener:
    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.gaps = 0

    def apply(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def gap(self) -> None:
        self.gaps += 1


@asynccontextmanager
async def archive_on(
    url: str, *, queue: int = 1_000, batch: int = 100
) -> AsyncIterator[tuple[Archive, Listener, Counters]]:
    store = await asyncio.to_thread(Store, url, readers=1, timeout_ms=10_000)
    await asyncio.to_thread(store.open)
    counters, listener = Counters(), Listener()
    archive = Archive(store, batch=batch, queue=queue, counters=counters)
    task = asyncio.create_task(archive.run(listener))
    try:
        await archive.ask(
            CreateConversation(KEY, "group", "default/ada", ("default/bob",), created_at=1), 30
        )
        yield archive, listener, counters
        await archive.flush()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(store.close)


def message(number: int, sender: str = "default/ada", **changes: str) -> SendMessage:
    values = {
        "conversation_key": KEY,
        "sender_key": sender,
        "sender_name": "Ada",
        "message_id": new_id("msg"),
        "client_msg_id": f"m{number}",
        "content": f"message {number}",
        "created_at": 1,
    }
    return SendMessage(**values | changes)  # type: ignore[arg-type]


async def test_what_waits_is_written_in_one_transaction_and_in_order(database_url):
    async with archive_on(database_url) as (archive, listener, counters):
        done: list[int] = []
        for number in range(50):

            def note(outcome: Outcome) -> None:
                assert outcome.reply is not None
                done.append(outcome.reply["message"]["seq"])

            archive.submit(message(number), note)
        await archive.flush()
        assert done == list(range(2, 52))
        assert counters.archive_batches == 2  # the conversation, then all fifty
        assert [o.changes[0].change_seq for o in listener.outcomes] == list(range(1, 52))


async def test_everybody_is_acknowledged_before_anything_is_routed(sqlite_url):
    async with archive_on(sqlite_url) as (archive, listener, _):
        before = len(listener.outcomes)
        seen: list[int] = []
        for number in range(3):
            archive.submit(message(number), lambda outcome: seen.append(len(listener.outcomes)))
        await archive.flush()
        assert seen == [before] * 3
        assert len(listener.outcomes) == before + 3


async def test_a_refusal_reaches_its_asker_and_harms_nobody_else(database_url):
    async with archive_on(database_url) as (archive, _, _):
        good = asyncio.ensure_future(archive.ask(message(1), 30))
        with pytest.raises(AnmeiError) as caught:
            await archive.ask(message(2, sender="default/mallory"), 30)
        assert caught.value.code is ErrorCode.NOT_FOUND
        assert (await good)["message"]["content"] == "message 1"


async def test_a_batch_that_is_refused_as_a_whole_is_answered_whoever_cannot_take_it(
    sqlite_url, monkeypatch, expect_log: Callable[[str], None]
):
    expect_log("an outcome could not be passed on")
    async with archive_on(sqlite_url) as (archive, listener, counters):
        refused: Future[list[Outcome]] = Future()
        refused.set_exception(AnmeiError(ErrorCode.INTERNAL, "the database refused a query"))
        monkeypatch.setattr(archive._store, "write", lambda commands: refused)

        def fail(outcome: Outcome) -> None:
            raise RuntimeError("a fault of ours")

        archive.submit(message(1), fail)
        with pytest.raises(AnmeiError) as caught:
            await archive.ask(message(2), 5)
        assert caught.value.code is ErrorCode.INTERNAL
        assert counters.crashes == 1
        # Whether the first of two attempts has landed is found in the store.
        assert listener.gaps == 2
        monkeypatch.undo()
        await archive.ask(message(2), 30)


async def test_past_its_bound_the_queue_answers_overloaded_at_once(sqlite_url):
    async with archive_on(sqlite_url, queue=5) as (archive, _, _):
        errors: list[ErrorCode | None] = []

        def note(outcome: Outcome) -> None:
            errors.append(outcome.error.code if outcome.error else None)

        for number in range(8):
            archive.submit(message(number), note)
        assert errors == [ErrorCode.OVERLOADED] * 3
        await archive.flush()
        assert errors[3:] == [None] * 5


async def test_what_waits_is_bounded_by_what_it_says_too(sqlite_url, monkeypatch):
    commands = (
        message(1, content="x" * 900),
        EditMessage(message_id="m", by_key="default/ann", at=1, content="x" * 900),
        SetPreference("default/ann", KEY, 1, draft="x" * 900),
        AddParticipants(KEY, "default/ann", ("default/" + "x" * 82,) * 10, 1),
        MoveMarks(KEY, "default/ann", True, 1, message_ids=("x" * 90,) * 10),
    )
    monkeypatch.setattr("actors.archive.MOST_BYTES", 2_500)
    async with archive_on(sqlite_url) as (archive, _, _):
        for command in commands:
            asked = [archive.ask(command, 30) for _ in range(4)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            codes = [answer.code for answer in answers if isinstance(answer, AnmeiError)]
            assert codes.count(ErrorCode.OVERLOADED) == 2, command


async def test_messages_to_very_many_let_others_go_first(database_url, monkeypatch):
    monkeypatch.setattr(archive_module, "LARGE", 2)
    people = tuple(f"default/user{number}" for number in range(3))
    order: list[str] = []
    all_done = asyncio.Event()
    async with archive_on(database_url) as (archive, _, _):

        def note(what: str) -> Callable[[Outcome], None]:
            def done(outcome: Outcome) -> None:
                assert outcome.error is None
                order.append(what)
                if len(order) == 6:
                    all_done.set()
                if what == "first":
                    archive.submit(message(2), note("second"))

            return done

        for number in range(4):
            post = PostMessage(new_id("msg"), "default/shop", "S", f"p{number}", "News", 1, people)
            archive.submit(post, note(f"post {number}"))
        archive.submit(message(1), note("first"))
        await asyncio.wait_for(all_done.wait(), 50)
    assert order == ["post 0", "first", "second", "post 1", "post 2", "post 3"]


async def test_after_a_flush_writes_are_refused_rather_than_forgotten(sqlite_url):
    async with archive_on(sqlite_url) as (archive, _, _):
        await archive.flush()
        with pytest.raises(AnmeiError) as caught:
            await archive.ask(message(1), 30)
        assert caught.value.code is ErrorCode.UNAVAILABLE


async def test_a_database_that_is_lost_is_said_at_once_and_found_again(
    postgres, postgres_url: str, expect_log: Callable[[str], None]
):
    expect_log("the database is unavailable")
    expect_log("the store cannot be reached")
    expect_log("the store is back")
    async with archive_on(postgres_url) as (archive, listener, counters):
        await asyncio.to_thread(postgres.stop)
        with pytest.raises(AnmeiError) as caught:
            await archive.ask(message(1), 30)
        assert caught.value.code is ErrorCode.UNAVAILABLE
        assert archive.down
        # While it is away nobody waits for it.
        with pytest.raises(AnmeiError) as caught:
            await archive.ask(message(1), 10)
        assert caught.value.code is ErrorCode.UNAVAILABLE
        await asyncio.to_thread(postgres.start)
        reply = await _until_it_works(archive)
        assert reply["message"]["seq"] == 2
        assert listener.gaps == 1
        assert counters.store_failures == 1


async def _until_it_works(archive: Archive) -> dict:
    async with asyncio.timeout(50):
        while True:
            try:
                return await archive.ask(message(1), 30)
            except AnmeiError as error:
                if not error.code.retryable:
                    raise
                await asyncio.sleep(0.05)
