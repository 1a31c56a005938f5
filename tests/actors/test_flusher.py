"""A busy device is sent to a few times a second; one that is not busy is never kept waiting."""

import asyncio
import gc
import itertools
from collections.abc import Callable, Coroutine
from functools import wraps

from actors.counters import Counters
from actors.device import Device
from actors.fan_out import fan_out
from actors.flusher import BURST, Flusher
from anmei.close_codes import CloseCode
from anmei.event import Event
from tests.actors.kit import Wire, make_device, tick
from tests.actors.skipping_loop import SkippingLoop, skipping

RATE = 25
DELAY = 0.025
#: A slot is a tenth of the delay, and nothing is due on the dot.
LATE = DELAY + 0.003


def in_no_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Runs the test on a clock that is put forward."""

    @wraps(test)
    def run() -> None:
        skipping(test())

    return run


def paced(counters: Counters | None = None, rate: float = RATE, delay: float = DELAY) -> Flusher:
    return Flusher(asyncio.get_running_loop(), counters or Counters(), rate, delay)


def numbered(number: int, type: str = "new_message", size: int = 0) -> Event:
    return Event.of(type, {"number": number, "content": "x" * size})


def numbers(wire: Wire) -> list[int]:
    return [frame["data"].get("number") for frame in wire.frames()]


async def keep_busy(device: Device) -> int:
    """Sends until something has to wait. Returns how many frames it took."""
    for number in range(1_000):
        device.push(numbered(number))
        await tick(2)
        if device.parked:
            return number + 1
    raise AssertionError("nothing ever waited")


class Timed(Wire):
    """Notes when each frame was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []
        self.pinged_behind = -1

    def send(self, data: bytes) -> int:
        waiting = super().send(data)
        now = asyncio.get_running_loop().time()
        self.times += [now] * (len(self.frames()) - len(self.times))
        return waiting

    def ping(self) -> None:
        self.pinged_behind = len(self.frames())


def make(flusher: Flusher, **options: int) -> tuple[Device, Timed]:
    device, _ = make_device(flusher=flusher, **options)
    wire = Timed()
    device.transport = wire
    device._send = wire.send
    return device, wire


@in_no_time
async def test_a_device_that_is_sent_to_twenty_times_a_second_is_never_kept_waiting():
    device, wire = make(paced())
    for number in range(200):
        device.push(numbered(number))
        await tick(2)
        assert wire.sends == number + 1
        await asyncio.sleep(1 / 20)


@in_no_time
async def test_so_it_is_with_any_rate_and_any_delay():
    for rate, delay in itertools.product((1, 3, 15, 150, 1_000), (0.001, 0.05, 1)):
        device, wire = make(paced(rate=rate, delay=delay))
        for number in range(50):
            device.push(numbered(number))
            await tick(2)
            assert wire.sends == number + 1, (rate, delay)
            await asyncio.sleep(1.01 / rate)


@in_no_time
async def test_with_any_rate_and_any_delay_nothing_waits_longer():
    loop = asyncio.get_running_loop()
    for rate, delay in itertools.product((1, 3, 15, 150, 1_000), (0.001, 0.05, 1)):
        device, wire = make(paced(rate=rate, delay=delay))
        pushed = []
        for number in range(80):
            pushed.append(loop.time())
            device.push(numbered(number))
            await asyncio.sleep(0.002)
        await asyncio.sleep(delay * 2)
        assert numbers(wire) == list(range(80))
        waits = [sent - came for sent, came in zip(wire.times, pushed, strict=True)]
        assert max(waits) <= delay * 1.01, (rate, delay)


@in_no_time
async def test_what_comes_at_once_after_a_pause_is_not_kept_waiting():
    device, wire = make(paced())
    for pause in range(5):
        await asyncio.sleep(BURST / RATE)
        for number in range(BURST):
            device.push(numbered(number))
            await tick(2)
            assert wire.sends == pause * BURST + number + 1


@in_no_time
async def test_a_busy_device_gets_everything_in_order_in_fewer_sends_and_soon():
    device, wire = make(paced())
    loop = asyncio.get_running_loop()
    pushed = []
    for number in range(300):
        pushed.append(loop.time())
        device.push(numbered(number))
        await asyncio.sleep(0.01)
    await asyncio.sleep(DELAY * 2)
    assert numbers(wire) == list(range(300))
    assert wire.sends < 300 / 2.5 + BURST
    waits = [sent - came for sent, came in zip(wire.times, pushed, strict=True)]
    assert min(waits) >= 0
    assert max(waits) <= LATE


@in_no_time
async def test_a_turn_that_comes_late_is_not_made_up_for():
    """A loop that is late is busy: it must not send the more for it."""
    device, wire = make(paced(rate=20, delay=0.05))
    await keep_busy(device)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    began, before = loop.time(), wire.sends
    for number in range(300):
        device.push(numbered(number))
        await asyncio.sleep(0.01)
        if number % 5 == 4:
            loop.late(0.04)
    assert wire.sends - before < (loop.time() - began) * 20 * 0.9


@in_no_time
async def test_a_sender_that_waits_for_each_delivery_is_not_slowed_to_the_pace():
    """Where waiting brings nothing that could leave together, it is left be for a while."""
    device, wire = make(paced())
    loop = asyncio.get_running_loop()
    waits = []
    for number in range(200):
        came = loop.time()
        device.push(numbered(number))
        while wire.sends <= number:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        waits.append(loop.time() - came)
    assert sum(wait > 0.002 for wait in waits) <= 200 / BURST + 1
    assert max(waits) <= LATE


@in_no_time
async def test_many_who_wait_share_a_timer_and_a_delivery_to_them_makes_no_object():
    flusher = paced()
    devices = {make_device(flusher=flusher)[0]: None for _ in range(200)}
    event = numbered(0)
    for _ in range(BURST + 1):
        fan_out(devices, "default/room", 1, event)
        await tick(2)
    assert all(device.parked for device in devices)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    assert loop.timers == 1
    gc.collect()
    gc.disable()
    before = gc.get_count()[0]
    for _ in range(10):
        fan_out(devices, "default/room", 1, event)
    made = gc.get_count()[0] - before
    gc.enable()
    assert made < 20, "for 2,000 deliveries"
    await tick(5)
    assert all(device.parked for device in devices)
    await asyncio.sleep(LATE)
    assert not any(device.parked or device.pending for device in devices)


async def test_with_no_rate_or_no_delay_nothing_waits():
    for rate, delay in ((0, DELAY), (RATE, 0), (0, 0)):
        device, wire = make(paced(rate=rate, delay=delay))
        for number in range(100):
            device.push(numbered(number))
            await tick(2)
            assert wire.sends == number + 1


@in_no_time
async def test_an_answer_takes_along_what_waits_and_order_is_kept():
    counters = Counters()
    device, wire = make(paced(counters, 1, 1))
    sent = await keep_busy(device)
    device.push(numbered(sent))
    device.push_now(numbered(sent + 1, "ack"))
    device.push(numbered(sent + 2))
    before = wire.sends
    assert not device.parked
    await tick(2)
    assert wire.sends == before + 1
    assert numbers(wire) == list(range(sent + 3))
    assert counters.flushes == wire.sends


@in_no_time
async def test_an_answer_in_the_tick_of_other_frames_goes_with_them():
    device, wire = make(paced(rate=1, delay=1))
    sent = await keep_busy(device)
    device.push_now(numbered(sent, "ack"))
    await tick(2)
    before = wire.sends
    device.push(numbered(sent + 1))
    device.push_now(numbered(sent + 2, "ack"))
    await tick(2)
    assert wire.sends == before + 1
    assert numbers(wire) == list(range(sent + 3))


@in_no_time
async def test_answers_use_up_the_burst_but_never_make_more_than_one_wait():
    device, wire = make(paced(rate=1, delay=0.02))
    for number in range(100):
        device.push_now(numbered(number, "ack"))
        await tick(2)
        assert wire.sends == number + 1
    device.push(numbered(100))
    await tick(2)
    assert device.parked
    await asyncio.sleep(0.023)
    assert numbers(wire) == list(range(101))


@in_no_time
async def test_a_close_goes_behind_what_waits():
    device, wire = make(paced(rate=1, delay=1))
    sent = await keep_busy(device)
    device.push(numbered(sent))
    device.close(CloseCode.DRAINING)
    assert numbers(wire) == [*range(sent + 1), None]
    assert wire.frames()[-1]["type"] == "disconnect"
    assert wire.closed is not None


@in_no_time
async def test_a_ping_goes_behind_what_waits():
    device, wire = make(paced(rate=1, delay=1))
    sent = await keep_busy(device)
    device.ping()
    assert wire.pinged_behind == sent


@in_no_time
async def test_much_does_not_wait():
    device, wire = make(paced(rate=1, delay=1), limit=262_144)
    await keep_busy(device)
    before = wire.sends
    while device.parked:
        device.push(numbered(0, size=1_000))
        assert device.queued < 6_000
    await tick(2)
    assert wire.sends == before + 1
    device.push(numbered(0, size=20_000))
    await tick(2)
    assert wire.sends == before + 2, "one large frame neither"


@in_no_time
async def test_what_waits_for_its_turn_does_not_make_a_queue_look_full():
    """Typing is left out where half of the limit waits: for the peer, not for a turn."""
    counters = Counters()
    device, wire = make(paced(counters, 1, 1), limit=16_384)
    await keep_busy(device)
    for number in range(200):
        device.push_if_room(numbered(number, "typing", size=100))
        await tick()
    assert counters.shed == 0
    assert wire.closed is None


@in_no_time
async def test_a_busy_device_whose_peer_reads_nothing_is_closed_at_the_same_bound():
    device, wire = make(paced(rate=1, delay=1), limit=16_384)
    await keep_busy(device)
    wire.stalled = True
    for number in range(400):
        device.push(numbered(number, size=100))
        await tick()
    assert wire.closed is not None
    assert wire.closed[0] == CloseCode.TOO_SLOW
    assert wire.waiting < 16_384 + 1_024


@in_no_time
async def test_a_device_that_ends_while_something_waits_is_forgotten():
    counters = Counters()
    device, wire = make(paced(counters, 25, 0.01))
    sent = await keep_busy(device)
    device.ended()
    other, other_wire = make(device.flusher)
    others = await keep_busy(other)
    await asyncio.sleep(0.02)
    assert len(numbers(wire)) == sent - 1
    assert len(numbers(other_wire)) == others
    assert counters.crashes == 0


async def test_a_flush_that_fails_costs_nobody_else_theirs(expect_log):
    expect_log("a flush failed")
    counters = Counters()
    flusher = paced(counters)
    broken, _ = make(flusher)
    healthy, wire = make(flusher)

    def fail(data: bytes) -> int:
        raise RuntimeError("it is broken")

    broken._send = fail
    broken.push(numbered(0))
    healthy.push(numbered(0))
    await tick(2)
    assert numbers(wire) == [0]
    assert counters.crashes == 1
