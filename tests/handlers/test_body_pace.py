"""A body that does not come is not waited for."""

import asyncio

from handlers.body_pace import LEAST, BodyPace


class Stream:
    """All that is asked of a stream."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def close(self) -> None:
        self.closed.set()


async def test_whoever_sends_next_to_nothing_is_cut_off() -> None:
    stream = Stream()
    pace = BodyPace(stream, asyncio.get_running_loop(), span=0.05)
    pace.heard(LEAST - 1)
    await asyncio.wait_for(stream.closed.wait(), 30)


async def test_whoever_sends_at_all_is_not() -> None:
    stream, loop = Stream(), asyncio.get_running_loop()
    pace = BodyPace(stream, loop, span=3600)
    for _ in range(3):
        pace.heard(LEAST)
        pace._timer.cancel()
        pace._look()
        assert not stream.closed.is_set()
    pace.stop()
    assert pace._timer.cancelled()
