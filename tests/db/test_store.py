"""The store as a whole: its life, and what it does when the database goes away."""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from peewee import Database

from anmei.commands import Command, Outcome
from anmei.errors import AnmeiError, ErrorCode
from db import queries
from db.errors import StoreUnavailable
from db.link import fetch
from db.store import Store
from tests.db.chat import NOW, add, create, do, key, remove, reply, send
from tests.support.proxy import Proxy
from tests.support.servers import Postgres, database_of

OpenStore = Callable[..., Store]


def seqs(store: Store, room: str = "room") -> list[int]:
    page = store.read(queries.history, None, key(room), None, 0, 10_000).result(60)
    assert page is not None
    return [message["seq"] for message in page["messages"]]


def number(outcome: Outcome) -> int:
    assert outcome.error is None
    return outcome.changes[0].change_seq


def test_what_was_written_is_there_after_a_restart(url: str, open_store: OpenStore) -> None:
    first = open_store(url)
    do(first, create("room", "ann"), send("room", "ann"))
    first.close()
    second = open_store(url)
    assert seqs(second) == [2]
    assert number(do(second, send("room", "ann"))[0]) == 3


def test_every_migration_is_told_of_once(
    tmp_path: Path, open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    open_store(f"sqlite:///{tmp_path}/anmei.db")
    first = [line for line in caplog.messages if "0001_first_tables" in line]
    assert first == ["migration applied: 0001_first_tables"]


def test_closing_finishes_what_was_asked_for_and_refuses_the_rest(store: Store) -> None:
    reply(store, create("room", "ann"))
    futures = [store.write([send("room", "ann")]) for _ in range(50)]
    reading = store.read(queries.ping)
    store.close()
    store.close()
    assert [number(future.result(0)[0]) for future in futures] == list(range(2, 52))
    assert reading.result(0) is True
    for late in (store.write([send("room", "ann")]), store.read(queries.ping)):
        with pytest.raises(StoreUnavailable):
            late.result(0)


def test_a_write_that_was_cancelled_before_its_turn_is_left_out(store: Store) -> None:
    reply(store, create("room", "ann"))
    entered, leave = threading.Event(), threading.Event()

    class Slow(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            entered.set()
            leave.wait(60)
            return super().__iter__()

    first = store.write(Slow([send("room", "ann")]))
    assert entered.wait(60)
    second = store.write([send("room", "ann")])
    assert second.cancel()
    leave.set()
    assert number(first.result(60)[0]) == 2
    assert number(do(store, send("room", "ann"))[0]) == 3


def test_an_empty_write_is_an_empty_answer(store: Store) -> None:
    assert do(store) == []


def test_a_query_that_fails_is_an_internal_error_and_the_reader_lives(
    store: Store, expect_log: Callable[[str], None]
) -> None:
    expect_log("a query failed")

    def broken(database: Database) -> object:
        return fetch(database, "SELECT nothing FROM nowhere WHERE x = %s", (1,))

    for _ in range(3):
        with pytest.raises(AnmeiError, match="refused"):
            store.read(broken).result(60)
    assert store.read(queries.ping).result(60) is True


def test_an_answer_in_the_form_of_an_error_reaches_the_asker(store: Store) -> None:
    def refused(database: Database) -> None:
        raise AnmeiError(ErrorCode.BAD_REQUEST, "no")

    with pytest.raises(AnmeiError, match="no"):
        store.read(refused).result(60)


def _open_and_write(url: str, number: int, results: Any) -> None:
    store = Store(url, readers=1, timeout_ms=30_000)
    try:
        store.open()
        (outcome,) = store.write([create(f"room{number}", "ann")]).result(60)
        results.put(None if outcome.error is None else outcome.error.message)
        store.close()
    except BaseException as error:
        results.put(repr(error))
        raise


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_start_at_once_on_a_new_database_all_succeed(
    kind: str, request: pytest.FixtureRequest, open_store: OpenStore
) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=_open_and_write, args=(url, number, results)) for number in range(3)
    ]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [None] * len(processes)
    for process in processes:
        process.join(60)
    store = open_store(url)
    found, _ = store.read(queries.heads, key("ann"), None, 10).result(60)
    assert len(found) == len(processes)


def test_the_postgresql_session_has_limits_and_a_name(tables_url: str, open_store: Any) -> None:
    store = open_store(tables_url, timeout_ms=12_345)

    def settings(database: Database) -> dict[str, str]:
        names = ("statement_timeout", "lock_timeout", "application_name", "jit")
        return {name: fetch(database, f"SHOW {name}")[0][0] for name in names}

    assert store.read(settings).result(60) == {
        "statement_timeout": "12345ms",
        "lock_timeout": "12345ms",
        "application_name": "anmei",
        "jit": "off",
    }


def test_a_sqlite_commit_reaches_the_disk_and_readers_do_not_block(
    sqlite_url: str, open_store: OpenStore
) -> None:
    store = open_store(sqlite_url)

    def pragmas(database: Database) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [fetch(database, f"PRAGMA {name}")[0][0] for name in names]

    assert store.read(pragmas).result(60) == ["wal", 2, 1, 30_000]


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://a/b", "anmei.db"]
)
def test_an_url_of_another_kind_is_refused_with_the_reason(url: str) -> None:
    with pytest.raises(ValueError, match="expected sqlite:///"):
        Store(url, readers=1, timeout_ms=1_000)


def test_a_database_that_is_not_there_is_unavailable_and_may_be_opened_later(
    own_postgres: Postgres, open_store: OpenStore
) -> None:
    url = own_postgres.create_database()
    own_postgres.stop(immediate=True)
    store = Store(url, readers=1, timeout_ms=30_000)
    with pytest.raises(StoreUnavailable):
        store.open()
    own_postgres.start()
    store.open()
    assert store.read(queries.ping).result(60) is True
    store.close()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Store(f"sqlite:///{tmp_path}/none/a.db", readers=1, timeout_ms=1_000).open()


def test_killed_sessions_are_replaced_without_anybody_noticing(
    postgres: Postgres, tables_url: str, open_store: OpenStore
) -> None:
    store = open_store(tables_url)
    reply(store, create("room", "ann"))
    for turn in range(5):
        assert store.read(queries.ping).result(60) is True
        postgres.terminate_sessions(tables_url)
        assert number(do(store, send("room", "ann"))[0]) == 2 + turn
        assert len(seqs(store)) == 1 + turn


def test_sessions_killed_under_load_lose_and_double_nothing(
    postgres: Postgres, tables_url: str, open_store: OpenStore
) -> None:
    store = open_store(tables_url)
    reply(store, create("room", "ann"))
    acknowledged = []
    for turn in range(40):
        commands = [send("room", "ann", client_msg_id=f"c{turn}-{n}") for n in range(20)]
        # One kill for each write, a little later each time, so that it hits BEGIN, COMMIT and
        # everything between; then an empty write, so that the next one begins with a live link.
        killer = threading.Timer(turn / 5_000, postgres.terminate_sessions, (tables_url,))
        killer.start()
        acknowledged += [number(outcome) for outcome in do(store, *commands)]
        killer.join()
        do(store)
    assert acknowledged == list(range(2, 802))
    assert seqs(store) == acknowledged


def test_a_server_that_is_stopped_fails_fast_and_is_found_again(
    own_postgres: Postgres, open_store: OpenStore, expect_log: Callable[[str], None]
) -> None:
    expect_log("the database is unavailable")
    store = open_store(own_postgres.create_database())
    reply(store, create("room", "ann"))
    own_postgres.stop(immediate=True)
    futures: list[Future[Any]] = [store.write([send("room", "ann")]) for _ in range(20)]
    futures += [store.read(queries.ping) for _ in range(20)]
    for future in futures:
        with pytest.raises(StoreUnavailable) as caught:
            future.result(60)
        assert caught.value.ambiguous is False
    own_postgres.start()
    assert number(do(store, send("room", "ann"))[0]) == 2
    assert store.read(queries.ping).result(60) is True


def through(proxy: Callable[..., Proxy], postgres: Postgres, url: str) -> tuple[Proxy, str]:
    """A proxy before the server, and the URL of the database behind it."""
    between = proxy(postgres.socket)
    assert between.socket is not None
    return between, postgres.url(database_of(url), host=between.socket.parent)


def test_a_commit_whose_answer_was_lost_is_found_again_by_the_store_itself(
    postgres: Postgres, tables_url: str, proxy: Callable[..., Proxy], open_store: OpenStore
) -> None:
    between, url = through(proxy, postgres, tables_url)
    store = open_store(url)
    reply(store, create("room", "ann"))
    sprung = between.cut_after(b"COMMIT")
    outcomes = do(store, send("room", "ann"), send("room", "ann"))
    sprung.result(60)
    assert [number(outcome) for outcome in outcomes] == [2, 3]
    assert [outcome.reply and outcome.reply["duplicate"] for outcome in outcomes] == [False] * 2
    assert seqs(store) == [2, 3]
    assert number(do(store, send("room", "ann"))[0]) == 4


@pytest.mark.parametrize("same_id", [True, False])
def test_a_commit_that_nobody_could_settle_is_ambiguous_and_settled_by_sending_again(
    postgres: Postgres,
    tables_url: str,
    proxy: Callable[..., Proxy],
    open_store: OpenStore,
    expect_log: Callable[[str], None],
    same_id: bool,
) -> None:
    expect_log("the database is unavailable")
    between, url = through(proxy, postgres, tables_url)
    store = open_store(url)
    reply(store, create("room", "ann"))
    between.cut_after(b"COMMIT", then_refuse=True)
    first = send("room", "ann", client_msg_id="once")
    with pytest.raises(StoreUnavailable) as caught:
        do(store, first)
    assert caught.value.ambiguous is True
    between.accept()
    again = first if same_id else send("room", "ann", client_msg_id="once")
    (outcome,) = do(store, again)
    assert number(outcome) == 2
    assert outcome.reply is not None
    assert outcome.reply["duplicate"] is not same_id
    assert outcome.reply["message"]["id"] == first.message_id
    assert seqs(store) == [2]


def test_a_write_cut_before_its_commit_is_done_again_on_a_second_connection(
    postgres: Postgres, tables_url: str, proxy: Callable[..., Proxy], open_store: OpenStore
) -> None:
    between, url = through(proxy, postgres, tables_url)
    store = open_store(url)
    reply(store, create("room", "ann"))
    for expected, pattern in enumerate((b"BEGIN", b"INSERT INTO messages", b"COMMIT"), 2):
        sprung = between.cut_before(pattern)
        assert number(do(store, send("room", "ann"))[0]) == expected
        sprung.result(60)
    assert seqs(store) == [2, 3, 4]


def test_creating_adding_and_removing_survive_a_lost_answer(
    postgres: Postgres, tables_url: str, proxy: Callable[..., Proxy], open_store: OpenStore
) -> None:
    between, url = through(proxy, postgres, tables_url)
    store = open_store(url)
    expected = 1
    for command in (
        create("room", "ann", "bob"),
        add("room", "ann", "cid"),
        remove("room", "ann", "bob"),
    ):
        sprung = between.cut_after(b"COMMIT")
        (outcome,) = do(store, command)
        sprung.result(60)
        assert number(outcome) == expected
        expected += 1
    audience = store.read(queries.audience, key("room")).result(60)
    assert audience is not None
    assert audience.members == {key("ann"), key("cid")}
    assert audience.version == 3


@pytest.mark.parametrize(
    ("batch", "then_in"),
    [
        ([send("room", "bob"), remove("room", "ann", "bob")], False),
        ([remove("room", "ann", "bob"), add("room", "ann", "bob", at=NOW + 9_000)], True),
        ([remove("room", "bob", "bob"), add("room", "ann", "bob", at=NOW + 9_000)], True),
        ([add("room", "ann", "cid"), send("room", "cid"), remove("room", "ann", "cid")], False),
    ],
    ids=["send-remove", "remove-add", "leave-add", "add-send-remove"],
)
def test_a_batch_whose_answer_was_lost_is_not_executed_twice(
    postgres: Postgres,
    tables_url: str,
    proxy: Callable[..., Proxy],
    open_store: OpenStore,
    batch: list[Command],
    then_in: bool,
) -> None:
    between, url = through(proxy, postgres, tables_url)
    store = open_store(url)
    reply(store, create("room", "ann", "bob"))
    sprung = between.cut_after(b"COMMIT")
    outcomes = do(store, *batch)
    sprung.result(60)
    assert [outcome.error for outcome in outcomes] == [None] * len(batch)
    # Each took one number, and the last of them says who is in.
    assert outcomes[-1].changes[0].change_seq == 1 + len(batch)
    audience = store.read(queries.audience, key("room")).result(60)
    assert audience is not None
    assert outcomes[-1].changes[0].audience == audience
    assert (key("cid" if len(batch) == 3 else "bob") in audience.members) is then_in
    head = store.read(queries.conversation, None, key("room")).result(60)
    assert head is not None
    assert head["change_seq"] == 1 + len(batch)
    assert head["participant_count"] == len(audience.members)


def test_a_server_that_hangs_is_given_up_after_the_timeout(
    postgres: Postgres, tables_url: str, open_store: OpenStore, expect_log: Callable[[str], None]
) -> None:
    expect_log("the database is unavailable")
    # As short as the wait below may be, and as long as a busy machine may take for a statement.
    store = open_store(tables_url, timeout_ms=1_000)
    reply(store, create("room", "ann"))
    holder = psycopg2.connect(tables_url)
    try:
        holder.cursor().execute("SELECT 1 FROM conversations FOR UPDATE")
        with pytest.raises(StoreUnavailable) as caught:
            do(store, send("room", "ann"))
        assert caught.value.ambiguous is False
        assert len(seqs(store)) == 0
    finally:
        holder.close()
    assert number(do(store, send("room", "ann"))[0]) == 2
