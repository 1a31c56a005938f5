"""What fails a test by itself: a blocked event loop, a task left behind, a log line at WARNING or
above, a hang. (An unexpected warning fails it by `filterwarnings` in pyproject.toml.)

`tests/conftest.py` takes everything named in `__all__`; `test_guards.py` proves each one.
"""

import asyncio
import gc
import importlib.util
import inspect
import logging
import signal
from collections.abc import Callable, Iterator

import pytest
from blockbuster import BlockBuster
from tornado.ioloop import IOLoop

from tests.support.watch import LogWatch, WatchedLoop

__all__ = [
    "blocking",
    "expect_log",
    "io_loop",
    "log_watch",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
]

#: Where a blocking call on the loop is a mistake; in a test's own body it is only slow.
PRODUCT = ("anmei", "db", "actors", "handlers", "run")

#: How long a task may take to end after its test, in seconds: the machine may be busy.
GRACE = 5.0


def pytest_configure(config: pytest.Config) -> None:
    # SIGTERM ends a run as Ctrl-C does: with every fixture undone and every server stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # And Ctrl-C itself also where a shell has started the run in the background with it ignored:
    # that is handed down to every process, those included that a test interrupts on purpose.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A plain `async def test_…` is a coroutine test."""
    for item in items:
        function = getattr(item, "obj", None)
        if inspect.iscoroutinefunction(function) and not item.get_closest_marker("gen_test"):
            item.add_marker(pytest.mark.gen_test)


def pytest_collection_finish() -> None:
    # What is imported by now stays; the collection after each test need not look at it again.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def log_watch() -> Iterator[LogWatch]:
    """Fails the test on a log line at WARNING or above that `expect_log` did not announce."""
    watch = LogWatch()
    root = logging.getLogger()
    root.addHandler(watch)
    yield watch
    root.removeHandler(watch)
    if findings := watch.findings():
        pytest.fail("\n".join(findings), pytrace=False)


@pytest.fixture
def expect_log(log_watch: LogWatch) -> Callable[[str], None]:
    """`expect_log(pattern)`: this test causes such a log line, and must."""
    return log_watch.expect


@pytest.fixture
def blocking() -> Iterator[BlockBuster]:
    """Fails a blocking call (sleep, file, socket, lock) that the product makes on the loop."""
    specs = (importlib.util.find_spec(name) for name in PRODUCT)
    # Where each lies is all that is asked; none is imported for it.
    modules = [importlib.util.module_from_spec(spec) for spec in specs if spec is not None]
    guard = BlockBuster(scanned_modules=modules)
    guard.activate()
    yield guard
    guard.deactivate()


@pytest.fixture
def io_loop(log_watch: LogWatch, blocking: BlockBuster) -> Iterator[IOLoop]:
    """A fresh event loop, which must be left empty and must never have stood still."""
    loop = WatchedLoop()
    asyncio.set_event_loop(loop)
    current = IOLoop.current()
    yield current
    leaked = loop.run_until_complete(_left_behind())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    # A future whose exception nobody looked at says so when it is collected.
    gc.collect()
    asyncio.set_event_loop(None)
    current.close(all_fds=True)
    findings = [f"a task was left behind: {task}" for task in leaked] + loop.watch.findings
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


async def _left_behind() -> list[str]:
    """The tasks that do not end by themselves, as text; they are cancelled."""
    own = asyncio.current_task()
    tasks = asyncio.all_tasks() - {own}
    if not tasks:
        return []
    _, tasks = await asyncio.wait(tasks, timeout=GRACE)
    found = [repr(task) for task in tasks]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE)
    return found
