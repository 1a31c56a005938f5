"""What the tests of actors share: a transport that remembers, and devices on it."""

import asyncio
import json
from typing import Any

from actors.counters import Counters
from actors.device import Device
from actors.flusher import Flusher
from anmei.principal import Principal


class Wire:
    """A transport whose peer reads everything, or, with `stalled`, nothing."""

    def __init__(self) -> None:
        self.sent = b""
        self.waiting = 0
        self.stalled = False
        self.closed: tuple[int, str] | None = None
        self.pings = 0
        self.heard = 0.0
        self.sends = 0

    def send(self, data: bytes) -> int:
        self.sends += 1
        self.sent += data
        if self.stalled:
            self.waiting += len(data)
        return self.waiting

    def buffered(self) -> int:
        return self.waiting

    def ping(self) -> None:
        self.pings += 1

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)

    def heard_at(self) -> float:
        return self.heard

    def frames(self) -> list[dict[str, Any]]:
        """The JSON of every frame that was sent."""
        found, rest = [], self.sent
        while rest:
            size, start = rest[1], 2
            if size == 126:
                size, start = int.from_bytes(rest[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(rest[2:10], "big"), 10
            found.append(json.loads(rest[start : start + size]))
            rest = rest[start + size :]
        return found


def make_principal(user_id: str = "ada", **changes: Any) -> Principal:
    values = {
        "tenant": "default",
        "user_id": user_id,
        "roles": frozenset({"user"}),
        "name": user_id.title(),
        "expires_at": 2_000_000_000,
    }
    return Principal(**values | changes)


def make_device(
    user_id: str = "ada",
    *,
    limit: int = 65_536,
    counters: Counters | None = None,
    attached: bool = True,
    only: str | None = None,
    flusher: Flusher | None = None,
) -> tuple[Device, Wire]:
    """A device of `user_id` and the wire it writes to; needs a running loop."""
    counters = counters or Counters()
    wire = Wire()
    device = Device(
        wire,
        make_principal(user_id),
        connection_id=f"conn_{user_id}",
        device_id=f"dev_{user_id}",
        device_type="web",
        only=only,
        connected_at=0,
        limit=limit,
        flusher=flusher or Flusher(asyncio.get_running_loop(), counters),
        counters=counters,
    )
    if attached:
        device.attach()
    return device, wire


async def tick(times: int = 1) -> None:
    """Lets everything that is due in the loop happen."""
    for _ in range(times):
        await asyncio.sleep(0)
