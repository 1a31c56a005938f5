"""A thread with a connection of its own, doing one job after the other."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from peewee import Database

from anmei.errors import AnmeiError, ErrorCode
from db.errors import StoreUnavailable
from db.link import Link, is_lost

log = logging.getLogger("anmei.db")


class Job:
    """Something to be done with a database, and where its result goes.

    `work` may be called twice. `unsure` says whether a failure may have come after the point of no
    return.
    """

    def __init__(
        self, work: Callable[[Database], Any], unsure: Callable[[], bool] = lambda: False
    ) -> None:
        self.work = work
        self.unsure = unsure
        self.future: Future[Any] = Future()
        self.asked_at = time.monotonic()


Jobs = queue.SimpleQueue[Job | None]


class Worker(threading.Thread):
    """Does what comes through `jobs` until None comes."""

    def __init__(self, name: str, link: Link, jobs: Jobs) -> None:
        super().__init__(name=name, daemon=True)
        self._link = link
        self._jobs = jobs
        self._gave_up_at = 0.0
        self._down = False

    def run(self) -> None:
        # At once rather than for the first job: a process that has run out of files by then would
        # be without its database. A failure is the first job's to meet, and to say.
        with contextlib.suppress(Exception):
            _ = self._link.database
        while (job := self._jobs.get()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._do(job)
                # The result may be large, and the next job may be long in coming.
            del job
        self._link.drop()

    def _do(self, job: Job) -> None:
        try:
            if job.asked_at < self._gave_up_at:
                # It waited while others waited for the database in vain; trying for each of
                # them in turn would keep the last one waiting for minutes.
                raise StoreUnavailable("the database could not be reached")
            result = self._attempt(job)
        except Exception as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _attempt(self, job: Job) -> Any:
        """The job's result, on a second connection where the first one fails."""
        for attempt in (1, 2):
            try:
                result = job.work(self._link.database)
            except AnmeiError:
                raise
            except Exception as error:
                lost = is_lost(error) or self._link.broken
                # Whatever it was, nothing of it may still be open on the connection.
                self._link.drop()
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                if not lost:
                    log.error("a query failed: %s: %s", type(error).__name__, reason)
                    raise AnmeiError(ErrorCode.INTERNAL, "the database refused a query") from None
                if attempt == 2:
                    self._gave_up_at = time.monotonic()
                    if not self._down:
                        self._down = True
                        log.warning("the database is unavailable: %s", reason)
                    raise StoreUnavailable(reason, ambiguous=job.unsure()) from None
            else:
                if self._down:
                    self._down = False
                    log.info("the database is available again")
                return result
        raise AssertionError("two attempts were made")
