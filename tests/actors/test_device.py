"""A device is bounded: what is too much is shed, held or ended, and costs nobody else."""

import asyncio

from actors.counters import Counters
from anmei.close_codes import CloseCode
from anmei.event import Event
from tests.actors.kit import make_device, tick


def frame(size: int = 100, type: str = "new_message") -> Event:
    return Event.of(type, {"content": "x" * size})


async def test_what_a_tick_brings_leaves_in_one_send():
    device, wire = make_device()
    for _ in range(10):
        device.push(frame())
    assert wire.sends == 0
    await tick(2)
    assert wire.sends == 1
    assert len(wire.frames()) == 10


async def test_a_reader_that_stops_is_closed_with_too_slow_when_the_bound_is_reached():
    device, wire = make_device(limit=16_384)
    wire.stalled = True
    for _ in range(400):
        device.push(frame())
        await tick()
    assert wire.closed is not None
    assert wire.closed[0] == CloseCode.TOO_SLOW
    assert wire.waiting < 16_384 + 1_024
    said = wire.frames()[-1]
    assert said["type"] == "disconnect"
    assert said["data"]["code"] == 4200
    assert said["data"]["reconnect"] is True


async def test_typing_is_shed_once_the_queue_is_half_full_and_messages_are_not():
    counters = Counters()
    device, wire = make_device(limit=16_384, counters=counters)
    wire.stalled = True
    while device.queued <= 8_192:
        device.push(frame())
        await tick()
    before = len(wire.frames())
    device.push_if_room(frame(type="typing"))
    device.push(frame())
    await tick(2)
    assert counters.shed == 1
    assert [one["type"] for one in wire.frames()[before:]] == ["new_message"]


async def test_nothing_is_sent_after_the_close():
    device, wire = make_device()
    device.close(CloseCode.DISCONNECTED, "enough")
    device.push(frame())
    device.close(CloseCode.DRAINING)
    await tick(2)
    assert [one["type"] for one in wire.frames()] == ["disconnect"]
    assert wire.closed == (4009, "enough")
    assert device.close_code == 4009


async def test_a_numbered_event_before_the_device_is_attached_is_left_to_the_replay():
    device, wire = make_device(attached=False)
    device.deliver("default/room", 1, frame())
    await tick(2)
    assert wire.frames() == []


async def test_a_conversation_under_replay_is_held_and_others_are_not():
    device, wire = make_device()
    held = device.hold("default/room")
    device.deliver("default/room", 1, frame())
    device.deliver("default/other", 1, frame(type="other"))
    await tick(2)
    assert [one["type"] for one in wire.frames()] == ["other"]
    assert len(held.events) == 1


async def test_what_is_held_is_bounded_and_let_go_when_it_is_too_much():
    device, _ = make_device(limit=16_384)
    held = device.hold("default/room")
    for _ in range(400):
        device.deliver("default/room", 1, frame())
    assert held.overflown
    assert not held.events
    assert not device.closed


async def test_a_replay_waits_for_room_and_goes_on_when_the_peer_has_read():
    device, wire = make_device(limit=16_384)
    wire.stalled = True
    while device.queued <= 8_192:
        device.push(frame())
        await tick()
    waiting = asyncio.ensure_future(device.room())
    await tick(5)
    assert not waiting.done()
    wire.stalled, wire.waiting = False, 0
    device.drained()
    await waiting


async def test_a_replay_that_waits_for_room_ends_when_the_connection_does():
    device, wire = make_device(limit=16_384)
    wire.stalled = True
    while device.queued <= 8_192:
        device.push(frame())
        await tick()
    waiting = asyncio.ensure_future(device.room())
    await tick(5)
    device.ended()
    await waiting
    assert device.closed
