"""The door to the database: threads that wait for it so that nobody else has to."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from peewee import Database

from anmei.commands import Command, Outcome
from anmei.errors import AnmeiError
from db import writes
from db.audiences import Audiences
from db.errors import StoreUnavailable
from db.link import Link, execute, is_lost, is_postgres, sqlite_path
from db.migrate import migrate
from db.worker import Job, Jobs, Worker

log = logging.getLogger("anmei.db")

T = TypeVar("T")
P = ParamSpec("P")
Query = Callable[Concatenate[Database, P], T]


class Store:
    """One database, one thread that writes and `readers` that read, each on its own connection.

    No statement and no wait for a lock takes longer than `timeout_ms`. A thread whose connection
    fails opens another and tries once more; failing again, it answers with `StoreUnavailable`, and
    so does everything that had been waiting in the meantime.
    """

    def __init__(self, url: str, *, readers: int, timeout_ms: int) -> None:
        self._url = url
        self._audiences = Audiences()
        self._writes: Jobs = queue.SimpleQueue()
        self._reads: Jobs = queue.SimpleQueue()
        self._asides: Jobs = self._writes
        self._lock = threading.Lock()
        self._running = False
        self._readers = [
            Worker(f"db-reader-{number}", Link(url, timeout_ms), self._reads)
            for number in range(1, readers + 1)
        ]
        self._threads = [Worker("db-writer", Link(url, timeout_ms), self._writes), *self._readers]
        if sqlite_path(url) is None:
            # Where several may write at once, what can wait is written past the messages.
            self._asides = queue.SimpleQueue()
            self._threads.append(Worker("db-aside", Link(url, timeout_ms), self._asides))

    def open(self) -> None:
        """Bring the tables up to date and start. Blocks; raises StoreUnavailable when the database
        cannot be reached, and may then be called again."""
        try:
            applied = migrate(self._url)
        except Exception as error:
            if not is_lost(error):
                raise
            raise StoreUnavailable(str(error).strip()) from None
        for name in applied:
            log.info("migration applied: %s", name)
        with self._lock:
            self._running = True
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Finish what was asked for, then stop. Blocks."""
        with self._lock:
            if not self._running:
                return
            self._running = False
        self._writes.put(None)
        if self._asides is not self._writes:
            self._asides.put(None)
        for _ in self._readers:
            self._reads.put(None)
        for thread in self._threads:
            thread.join()

    def write(self, commands: list[Command]) -> "Future[list[Outcome]]":
        """Execute `commands` in one transaction, committed when the future is done; the outcomes
        are in the same order. Fails with StoreUnavailable, or, where the database refuses what is
        no single command's fault, with AnmeiError(INTERNAL)."""
        unsure = False

        def work(database: Database) -> list[Outcome]:
            nonlocal unsure
            again = unsure
            self._audiences.discard()
            execute(database, "BEGIN" if is_postgres(database) else "BEGIN IMMEDIATE")
            try:
                outcomes = writes.run(database, self._audiences, commands, again)
            except Exception as error:
                if is_lost(error):
                    raise
                # One command's fault, which is found and answered there.
                execute(database, "ROLLBACK")
                self._audiences.discard()
                execute(database, "BEGIN" if is_postgres(database) else "BEGIN IMMEDIATE")
                outcomes = writes.run_apart(database, self._audiences, commands, again)
            unsure = True
            execute(database, "COMMIT")
            self._audiences.keep()
            return outcomes

        return self._ask(self._writes, Job(work, lambda: unsure))

    def aside(self, work: "Query[P, T]", /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """`work(database, *args)` in a transaction of its own, for what nobody waits for: it must
        be short, and doing it twice must do no harm. Fails as `read` does."""

        def transaction(database: Database) -> T:
            execute(database, "BEGIN" if is_postgres(database) else "BEGIN IMMEDIATE")
            try:
                result = work(database, *args, **kwargs)
            except AnmeiError:
                execute(database, "ROLLBACK")
                raise
            execute(database, "COMMIT")
            return result

        return self._ask(self._asides, Job(transaction))

    def read(self, query: "Query[P, T]", /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """`query(database, *args)` on a reader. Fails with StoreUnavailable, or with the
        AnmeiError that the query raises."""
        return self._ask(self._reads, Job(lambda database: query(database, *args, **kwargs)))

    def _ask(self, jobs: Jobs, job: Job) -> "Future[Any]":
        with self._lock:
            if self._running:
                jobs.put(job)
                return job.future
        job.future.set_exception(StoreUnavailable("the store is closed"))
        return job.future


@contextmanager
def opened(url: str, *, timeout_ms: int) -> Iterator[Store]:
    """A store for one command; servers may have the same database open meanwhile."""
    store = Store(url, readers=1, timeout_ms=timeout_ms)
    store.open()
    try:
        yield store
    finally:
        store.close()
