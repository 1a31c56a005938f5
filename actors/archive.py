"""The archive: the one way into the store.

It collects what is waiting, writes it in one transaction, then acknowledges, then routes. There is
no timer: while one transaction commits, the next batch gathers, so an idle server adds no wait and
a busy one fills its batches.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from actors.counters import Counters
from anmei.commands import Command, MoveMarks, Outcome, SendMessage
from anmei.commands_inbox import PostMessage
from anmei.errors import AnmeiError, ErrorCode
from db.errors import StoreUnavailable
from db.store import Store

PATIENCE = 20.0  # seconds that a transaction may take
PROBE_PAUSE = 0.25  # seconds between two looks at a store that could not be reached
RETRY_AFTER_MS = 1_000
MOST_COPIES = 10_000  # of messages into inboxes in one transaction; one message has all its own
LARGE = 500  # recipients, above which a message lets other writes go first
MOST_BYTES = 64 * 1024 * 1024  # of texts and keys that may wait, besides the number of writes

log = logging.getLogger("anmei.archive")

Done = Callable[[Outcome], None]
#: A command, who hears of it, and about how many bytes it holds.
Job = tuple[Command, Done, int]


class Listener(Protocol):
    """Who is told what was committed: the router."""

    def apply(self, outcome: Outcome) -> None:
        """Something was committed."""

    def gap(self) -> None:
        """Something may have been committed that nobody was told of."""


class Archive:
    """Takes commands at any time, hands them to the store in batches, in the order they came.

    Only messages to very many people stand in a line of their own, since each takes as long as
    thousands of others: one at a time, and a batch without any between two of them.
    """

    def __init__(
        self,
        store: Store,
        *,
        batch: int,
        queue: int,
        counters: Counters,
        patience: float = PATIENCE,
    ) -> None:
        """`patience`: seconds that one transaction may take before its senders are told to try
        again. The store's own limit counts for each statement, and not at all on a link that has
        gone silent."""
        self._store = store
        self._patience = patience
        self._batch = batch
        self._limit = queue
        self._counters = counters
        self._waiting: deque[Job] = deque()
        self._large: deque[Job] = deque()
        self._was_large = False
        self._bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._down = False
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Commands that wait for their transaction."""
        return len(self._waiting) + len(self._large)

    @property
    def down(self) -> bool:
        """Whether the store could not be reached at the last try."""
        return self._down

    def submit(self, command: Command, done: Done) -> None:
        """Has `command` executed; `done` is called with its outcome, from the loop, exactly once.

        A refusal (too much waiting, no store, stopping) is an outcome like any other, at once: a
        sender is told to try again rather than left to wait for a store that is not there.
        """
        if self._down or self._stopping:
            done(_refused(ErrorCode.UNAVAILABLE, "the database cannot be reached"))
            return
        size = _size(command)
        if self.waiting >= self._limit or self._bytes + size > MOST_BYTES:
            done(_refused(ErrorCode.OVERLOADED, "too much is waiting to be written already"))
            return
        self._bytes += size
        large = isinstance(command, PostMessage) and len(command.recipient_keys) > LARGE
        (self._large if large else self._waiting).append((command, done, size))
        self._idle.clear()
        if self._wake is not None:
            self._wake.set_result(None)
            self._wake = None

    async def ask(self, command: Command, seconds: float) -> dict[str, Any]:
        """For the HTTP edge: the reply to `command` within `seconds`, or AnmeiError."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        self.submit(command, done)
        try:
            outcome = await asyncio.wait_for(future, seconds)
        except TimeoutError:
            raise AnmeiError(
                ErrorCode.TIMEOUT, f"not done within {seconds:g} s; it may still be"
            ) from None
        if outcome.error is not None:
            raise outcome.error
        return outcome.reply or {}

    async def run(self, listener: Listener) -> None:
        """Writes batches until it is cancelled; what is committed goes to `listener`."""
        loop = asyncio.get_running_loop()
        while True:
            if not self.waiting:
                self._idle.set()
                self._wake = loop.create_future()
                await self._wake
            jobs = self._next_batch()
            self._bytes -= sum(job[2] for job in jobs)
            await self._write(jobs, listener)

    async def flush(self) -> None:
        """Refuses what comes from now on, and waits until all that was taken is written."""
        self._stopping = True
        await self._idle.wait()

    def _next_batch(self) -> list[Job]:
        """What is written next, in one transaction, taken from what waits."""
        jobs: list[Job] = []
        room = MOST_COPIES
        self._was_large = bool(self._large) and not (self._was_large and self._waiting)
        if self._was_large:
            jobs.append(self._large.popleft())
            room = 0
        while self._waiting and len(jobs) < self._batch:
            command = self._waiting[0][0]
            if isinstance(command, PostMessage):
                room -= len(command.recipient_keys)
                if jobs and room < 0:
                    break
            jobs.append(self._waiting.popleft())
        return jobs

    async def _write(self, jobs: list[Job], listener: Listener) -> None:
        writing = asyncio.wrap_future(self._store.write([job[0] for job in jobs]))
        await asyncio.wait((writing,), timeout=self._patience)
        if not writing.done():
            # What is with the store goes on, and may still be committed.
            writing.add_done_callback(_look_at)
            await self._failed(jobs, f"no answer for {self._patience:g} s", listener)
            return
        try:
            outcomes = writing.result()
        except StoreUnavailable as error:
            await self._failed(jobs, str(error), listener)
            return
        except AnmeiError as error:
            # The batch was refused as a whole. Everybody in it is told, and the next one is tried.
            for _, done, _ in jobs:
                self._guarded(done, Outcome(error=error), listener)
            listener.gap()  # the first of two attempts may have landed without a word
            return
        self._counters.archive_batches += 1
        self._counters.archive_writes += len(jobs)
        # All acknowledgements first: what was committed is acknowledged whatever routing does.
        for (_, done, _), outcome in zip(jobs, outcomes, strict=True):
            self._guarded(done, outcome, listener)
        for outcome in outcomes:
            if outcome.news:
                self._guarded(listener.apply, outcome, listener)

    def _guarded(self, call: Done, outcome: Outcome, listener: Listener) -> None:
        """One that fails must not take the rest of the batch with it; what it should have sent is
        found by the comparison with the store."""
        try:
            call(outcome)
        except Exception:
            log.exception("an outcome could not be passed on")
            self._counters.crashes += 1
            listener.gap()

    async def _failed(self, jobs: list[Job], reason: str, listener: Listener) -> None:
        """Tells everybody who waits, then looks for the store until it is back.

        An ambiguous commit may have landed: the sender's retry finds it by its `client_msg_id`,
        and everybody else is served by the gap that is announced once the store answers.
        """
        log.warning("the store cannot be reached: %s", reason)
        self._down = True
        self._counters.store_failures += 1
        refused = _refused(ErrorCode.UNAVAILABLE, "the database cannot be reached")
        jobs.extend((*self._waiting, *self._large))
        self._waiting.clear()
        self._large.clear()
        self._bytes = 0
        try:
            for _, done, _ in jobs:
                self._guarded(done, refused, listener)
            while not self._stopping:
                await asyncio.sleep(PROBE_PAUSE)
                if await self._answers():
                    log.warning("the store is back")
                    listener.gap()
                    return
        finally:
            self._down = False

    async def _answers(self) -> bool:
        try:
            await asyncio.wrap_future(self._store.write([]))
        except (StoreUnavailable, AnmeiError):
            return False
        return True


def _size(command: Command) -> int:
    """About what a command holds in memory, as far as strangers decide it."""
    if isinstance(command, SendMessage):
        texts = (command.content, command.extra_metadata, command.body)
        return sum(len(text) for text in texts if text is not None)
    if isinstance(command, MoveMarks):
        return sum(map(len, command.message_ids))
    return sum(map(_length, msgspec.structs.astuple(command)))


def _length(value: object) -> int:
    """Of a text, or of all texts of a tuple."""
    if isinstance(value, tuple):
        return sum(map(_length, value))
    return len(value) if isinstance(value, str) else 0


def _look_at(writing: "asyncio.Future[list[Outcome]]") -> None:
    """Takes note of a failure that nobody waits for any more."""
    if not writing.cancelled():
        writing.exception()


def _refused(code: ErrorCode, message: str) -> Outcome:
    return Outcome(error=AnmeiError(code, message, retry_after_ms=RETRY_AFTER_MS))
