"""An actor handles one message after the other, and never makes anybody wait."""

import asyncio

from actors.actor import Actor
from tests.actors.kit import tick


class Recorder(Actor[int]):
    __slots__ = ("got", "telling")

    def __init__(self, limit: int = 3) -> None:
        super().__init__(limit)
        self.got: list[int] = []
        self.telling: list[int] = []

    def receive(self, message: int) -> None:
        if message < 0:
            raise ValueError(message)
        self.got.append(message)
        while self.telling:
            self.tell(self.telling.pop(0))


async def test_an_idle_actor_receives_on_the_spot():
    actor = Recorder()
    running = asyncio.create_task(actor.run())
    await tick()
    actor.tell(1)
    assert actor.got == [1]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_told_while_it_is_busy_comes_after_and_in_order():
    actor = Recorder()
    running = asyncio.create_task(actor.run())
    await tick()
    actor.telling = [2, 3]
    actor.tell(1)
    assert actor.got == [1]
    await tick(2)
    assert actor.got == [1, 2, 3]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_full_inbox_refuses_and_forgets_nothing():
    actor = Recorder(limit=2)
    assert [actor.tell(number) for number in (1, 2, 3)] == [True, True, False]
    running = asyncio.create_task(actor.run())
    await tick()
    assert actor.got == [1, 2]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_crash_reaches_whoever_runs_it_and_not_the_teller():
    actor = Recorder()
    running = asyncio.create_task(actor.run())
    await tick()
    assert actor.tell(-1) is True
    actor.tell(5)
    (result,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(result, ValueError)
    again = asyncio.create_task(actor.run())
    await tick()
    assert actor.got == [5]  # only the message that crashed is gone
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
