"""The heartbeat: asks silent peers for a sign of life, ends the dead, minds expiring tokens.

One sweep over all devices rather than timers for each: a timer is three objects a device, and ten
thousand of them come due in the same tick after a reconnect storm. The sweep goes in slices, so
that no tick is long.
"""

import asyncio
import random
import time
from collections.abc import Callable

from actors.device import Device
from anmei.clock import to_wire
from anmei.close_codes import CloseCode
from anmei.event import Event
from anmei.principal import Principal
from anmei.settings import Settings

SLICES = 20
LONGEST_SWEEP = 1.0  # seconds in which each device is looked at once
WARNING = 60.0  # seconds before its token expires that a device is told
WARNING_PART = 0.2  # of the time it has, for one that has less than five minutes


class Heartbeat:
    """Looks at every device once a sweep."""

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._interval = settings.heartbeat_interval / 1000
        self._timeout = settings.connection_timeout / 1000
        # As far as the token's signer may be ahead of us, or a token just let in would end at once.
        self._leeway = settings.jwt_leeway
        self._loop = loop
        self._wall_clock = wall_clock
        self._slices: list[dict[Device, None]] = [{} for _ in range(SLICES)]
        self._next = 0
        self._sweep = min(LONGEST_SWEEP, self._interval / 4)

    def add(self, device: Device) -> None:
        self._next = (self._next + 1) % SLICES
        self._slices[self._next][device] = None
        # Spread, or everybody who came back in one second is pinged in one second for ever.
        device.next_ping = self._loop.time() + self._interval * random.uniform(0.5, 1.0)

    def remove(self, device: Device) -> None:
        for part in self._slices:
            part.pop(device, None)

    async def run(self) -> None:
        while True:
            for part in self._slices:
                await asyncio.sleep(self._sweep / SLICES)
                now, wall = self._loop.time(), self._wall_clock()
                for device in list(part):
                    self._look(device, now, wall)

    def _look(self, device: Device, now: float, wall: float) -> None:
        if device.closed:
            return
        if now - device.transport.heard_at() > self._timeout:
            device.close(CloseCode.NO_HEARTBEAT, f"nothing was heard for {self._timeout:g} seconds")
            return
        if now >= device.next_ping:
            device.next_ping = now + self._interval
            device.pinged_at = now
            device.ping()
        principal = device.principal
        left = principal.expires_at - wall
        if left <= -self._leeway:
            device.close(CloseCode.TOKEN_EXPIRED)
        elif left <= min(WARNING, _lifetime(principal) * WARNING_PART) and not device.expiry_told:
            device.expiry_told = True
            expires_at = to_wire(principal.expires_at * 1000)
            data = {"expires_at": expires_at, "expires_in_ms": int(left * 1000)}
            device.push(Event.of("token_expiring", data))


def _lifetime(principal: Principal) -> float:
    """How long its token lasts in all, in seconds; of one that does not say when it was issued, how
    long from when it was shown."""
    # Not from when the device came: of one that has been here for long, each short token would be
    # said to end as soon as it was taken, and the next one be fetched at once.
    since = principal.shown_at if principal.issued_at is None else principal.issued_at
    return principal.expires_at - since
