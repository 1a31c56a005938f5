"""Every task has an owner: restarted when it crashes, ended when the server does."""

import asyncio
from collections.abc import Callable

from actors.counters import Counters
from actors.supervisor import Supervisor

ExpectLog = Callable[[str], None]


async def test_what_crashes_is_counted_and_runs_again(expect_log: ExpectLog):
    expect_log("flaky crashed")
    counters = Counters()
    supervisor = Supervisor(counters)
    runs = 0
    twice = asyncio.Event()

    async def flaky() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("first time")
        twice.set()

    supervisor.start("flaky", flaky)
    await twice.wait()
    await supervisor.stop()
    assert counters.crashes == 1
    assert len(supervisor) == 0


async def test_what_is_spawned_crashes_once_and_is_forgotten(expect_log: ExpectLog):
    expect_log("once crashed")
    counters = Counters()
    supervisor = Supervisor(counters)

    async def once() -> None:
        raise RuntimeError

    await supervisor.spawn("once", once)
    await asyncio.sleep(0)
    assert (counters.crashes, len(supervisor)) == (1, 0)


async def test_everything_is_stopped_in_reverse_order_and_waited_for():
    supervisor = Supervisor(Counters())
    ended: list[str] = []

    def waiting(name: str) -> Callable[[], object]:
        async def run() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append(name)

        return run

    for name in ("first", "second", "third"):
        supervisor.start(name, waiting(name))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await supervisor.stop()
    assert ended == ["third", "second", "first"]
