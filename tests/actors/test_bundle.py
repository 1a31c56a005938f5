"""Devices that wait together get what they would have got alone, in the same order."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.bundle import Bundle
from actors.counters import Counters
from actors.device import Device
from actors.fan_out import fan_out
from actors.flusher import Flusher
from anmei.close_codes import CloseCode
from anmei.event import Event
from tests.actors.kit import Wire, make_device, tick
from tests.actors.skipping_loop import skipping

DELAY = 0.05
SLOT = DELAY / 10
COUNT = 6
LIMIT = 65_536  # of each device


class Timed(Wire):
    """Notes when each frame was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def send(self, data: bytes) -> int:
        waiting = super().send(data)
        now = asyncio.get_running_loop().time()
        self.times += [now] * (len(self.frames()) - len(self.times))
        return waiting


class Rooms:
    """Two conversations, `a` with all devices and `b` with half of them."""

    def __init__(self, bundled: bool, rate: float = 15) -> None:
        self.counters = Counters()
        flusher = Flusher(asyncio.get_running_loop(), self.counters, rate, DELAY)
        self.devices: list[Device] = []
        self.wires: list[Timed] = []
        for number in range(COUNT):
            device, _ = make_device(
                f"u{number}", limit=LIMIT, flusher=flusher, counters=self.counters
            )
            wire = Timed()
            device.transport, device._send = wire, wire.send
            self.devices.append(device)
            self.wires.append(wire)
        self.seated = {
            "a": dict.fromkeys(self.devices),
            "b": dict.fromkeys(self.devices[: COUNT // 2]),
        }
        self.bundles = {
            key: Bundle(flusher, self.counters) if bundled else None for key in self.seated
        }
        self.number = 0
        #: When each event was queued.
        self.began: dict[int, float] = {}

    def event(self, size: int = 0) -> Event:
        self.number += 1
        self.began[self.number] = asyncio.get_running_loop().time()
        return Event.of("new_message", {"number": self.number, "content": "x" * size})

    def say(self, key: str, size: int = 0) -> int:
        event, devices = self.event(size), self.seated[key]
        count = fan_out(devices, key, self.number, event, self.bundles[key])
        self.counters.deliveries += count
        return count

    def reseated(self) -> None:
        bundle = self.bundles["a"]
        if bundle is not None:
            bundle.others = None

    def got(self, number: int) -> list[int]:
        return [frame["data"].get("number", -1) for frame in self.wires[number].frames()]


Step = Callable[[Rooms], Any]


def after(seconds: float) -> Step:
    return lambda rooms: asyncio.sleep(seconds)


def say(key: str, size: int) -> Step:
    return lambda rooms: rooms.say(key, size)


def each(number: int, act: Callable[[Rooms, Device], Any]) -> Step:
    return lambda rooms: act(rooms, rooms.devices[number])


def unseat(rooms: Rooms, device: Device) -> None:
    device.leave()
    rooms.seated["a"].pop(device, None)
    rooms.reseated()


def seat(rooms: Rooms, device: Device) -> None:
    if not device.closed:
        rooms.seated["a"][device] = None
        rooms.reseated()


def replay(rooms: Rooms, device: Device) -> None:
    """A replay that has nothing to read but what is held."""
    if device.closed:
        return
    held = device.hold("a")
    rooms.say("a")
    while (taken := device.next_held(held)) is not None:
        device.push_now(taken[1])
    device.release("a")


def stall(rooms: Rooms, device: Device) -> None:
    """The peer reads nothing from now on."""
    wire = device.transport
    assert isinstance(wire, Timed)
    wire.stalled = True


def read(rooms: Rooms, device: Device) -> None:
    """It reads again, and all that waits."""
    wire = device.transport
    assert isinstance(wire, Timed)
    wire.stalled, wire.waiting = False, 0
    device.drained()


ACTS: list[Callable[[Rooms, Device], Any]] = [
    lambda rooms, device: device.push(rooms.event()),
    lambda rooms, device: device.push_now(rooms.event()),
    lambda rooms, device: device.push_if_room(rooms.event()),
    lambda rooms, device: device.ping(),
    lambda rooms, device: device.flush(),
    lambda rooms, device: device.hurry(),
    lambda rooms, device: device.put_out("a", rooms.event()),
    lambda rooms, device: device.close(CloseCode.DRAINING),
    lambda rooms, device: device.ended(),
    unseat,
    seat,
    replay,
    stall,
    read,
]

STEPS = st.one_of(
    st.builds(say, st.sampled_from("aaab"), st.sampled_from([0, 0, 100, 700, 5_000, LIMIT])),
    st.builds(after, st.sampled_from([0, 0.001, 0.01, 0.02, 0.06])),
    st.builds(each, st.integers(0, COUNT - 1), st.sampled_from(ACTS)),
)


@given(st.lists(STEPS, max_size=120))
def test_with_a_bundle_everybody_gets_what_comes_without(steps: list[Step]):
    def run(bundled: bool) -> Rooms:
        rooms: list[Rooms] = []

        async def body() -> None:
            mine = Rooms(bundled)
            rooms.append(mine)
            for _ in range(12):  # more than may be sent at once
                mine.say("a")
                await tick(2)
            for step in steps:
                found = step(mine)
                if asyncio.iscoroutine(found):
                    await found
            await asyncio.sleep(DELAY * 2)

        skipping(body())
        return rooms[0]

    alone, together = run(bundled=False), run(bundled=True)
    for number in range(COUNT):
        assert together.got(number) == alone.got(number)
        assert together.wires[number].closed == alone.wires[number].closed
        for one, sent in zip(together.got(number), together.wires[number].times, strict=True):
            assert one < 0 or sent - together.began[one] <= DELAY + 2 * SLOT
    assert together.counters.deliveries == alone.counters.deliveries
    assert together.counters.crashes == 0
    for device in together.devices:
        assert not device.pending
        assert device.bundle is None


def test_a_busy_conversation_notes_an_event_once_for_all_and_sends_as_often():
    async def body() -> None:
        alone, together = Rooms(bundled=False), Rooms(bundled=True)
        bundle = together.bundles["a"]
        assert bundle is not None
        shared = 0
        for number in range(300):
            for rooms in (alone, together):
                assert rooms.say("a") == COUNT
            if number >= 20:
                shared += bundle.size == COUNT
                assert not any(device.pending for device in together.devices)
            await asyncio.sleep(0.01)
        assert shared == 280
        await asyncio.sleep(DELAY * 2)
        for number in range(COUNT):
            assert together.got(number) == alone.got(number) == list(range(1, 301))
            assert together.wires[number].sends <= alone.wires[number].sends + 1
        assert together.counters.flushes == sum(wire.sends for wire in together.wires)

    skipping(body())


def test_one_who_left_is_back_with_the_others_after_the_next_send():
    async def body() -> None:
        rooms = Rooms(bundled=True)
        bundle, device = rooms.bundles["a"], rooms.devices[0]
        assert bundle is not None
        for _ in range(30):
            rooms.say("a")
            await asyncio.sleep(0.01)
        assert device.bundle is bundle
        device.push_now(rooms.event())
        assert device.bundle is None
        said = 0
        while device.bundle is not bundle:
            rooms.say("a")
            said += 1
            assert said <= 2 * DELAY / 0.01
            await asyncio.sleep(0.01)

    skipping(body())


def test_one_that_fails_costs_the_others_nothing(expect_log):
    expect_log("a flush failed")

    async def body() -> None:
        rooms = Rooms(bundled=True)
        for _ in range(20):
            rooms.say("a")
            await asyncio.sleep(0.01)

        def fail(data: bytes) -> int:
            raise RuntimeError("it is broken")

        rooms.devices[2]._send = fail
        for _ in range(10):
            rooms.say("a")
            await asyncio.sleep(0.01)
        await asyncio.sleep(DELAY * 2)
        assert rooms.counters.crashes > 0
        for number in {0, 1, 3, 4, 5}:
            assert rooms.got(number) == list(range(1, 31))

    skipping(body())


def waiting_together(rooms: Rooms) -> Bundle:
    """All are in the bundle of `a`, and wait."""
    bundle = rooms.bundles["a"]
    assert bundle is not None
    while not bundle.size:
        rooms.say("a")
        rooms.devices[0].flusher._flush()
    assert bundle.size == COUNT
    return bundle


def test_who_reads_nothing_holds_no_more_than_the_limit_though_all_came_in_one_tick():
    async def body() -> None:
        rooms = Rooms(bundled=True)
        waiting_together(rooms)
        stuck = rooms.wires[0]
        stuck.stalled = True
        for _ in range(100):
            rooms.say("a", 5_000)
        await asyncio.sleep(DELAY * 2)
        assert stuck.waiting <= LIMIT + 1_000  # with the word of why it is closed
        assert stuck.closed is not None
        assert stuck.closed[0] == CloseCode.TOO_SLOW
        assert rooms.got(1) == list(range(1, rooms.number + 1))
        assert rooms.wires[1].closed is None

    skipping(body())


def test_one_frame_above_the_limit_does_not_end_who_waited_with_others():
    async def body() -> None:
        rooms = Rooms(bundled=True)
        waiting_together(rooms)
        slow, send = rooms.wires[0], rooms.wires[0].send

        def take_what_is_small(data: bytes) -> int:
            slow.stalled = len(data) > LIMIT
            return send(data)

        rooms.devices[0]._send = take_what_is_small
        rooms.say("a", LIMIT + 1)
        rooms.say("a")
        await asyncio.sleep(DELAY * 2)
        rooms.say("a")
        await asyncio.sleep(DELAY * 2)
        assert slow.closed is None
        assert rooms.got(0) == list(range(1, rooms.number + 1))

    skipping(body())
