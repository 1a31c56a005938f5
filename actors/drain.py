"""Drain: everybody is sent home before the server stops, a few at a time."""

import asyncio
import random

from actors.router import Router
from anmei.close_codes import CloseCode

STEPS = 20  # batches that the devices are sent home in
EARLIEST_MS, LATEST_MS = 500, 3_000  # when they may come back: not all at once


async def drain(router: Router, within: float) -> None:
    """Closes every connection with 4102 and a moment to come back at, in about half of `within`
    seconds, and waits for the rest of it until they are gone. Nobody new is let in."""
    router.draining = True
    for stranger in list(router.strangers):
        stranger.send_away(CloseCode.DRAINING, "this node is going down", _moment())
    devices = list(router.devices())
    step = max(1, -(-len(devices) // STEPS))
    for start in range(0, len(devices), step):
        for device in devices[start : start + step]:
            device.close(CloseCode.DRAINING, retry_after_ms=_moment())
        await asyncio.sleep(within / 2 / STEPS)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within / 2
    while router.connections and loop.time() < deadline:
        # Those, too, whose token was still being looked at when the others were sent home.
        for device in router.devices():
            device.close(CloseCode.DRAINING, retry_after_ms=_moment())
        await asyncio.sleep(0.02)


def _moment() -> int:
    return random.randint(EARLIEST_MS, LATEST_MS)
