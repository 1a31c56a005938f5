"""The heartbeat: silent peers are asked, then ended; so are tokens that run out, after a word."""

import asyncio

import pytest

from actors.heartbeat import Heartbeat
from anmei.settings import Settings
from tests.actors.kit import make_device, make_principal, tick

SETTINGS = Settings(heartbeat_interval=1_000, connection_timeout=3_000, jwt_leeway=0)


def beat(wall: float = 1_000.0) -> Heartbeat:
    return Heartbeat(SETTINGS, asyncio.get_running_loop(), lambda: wall)


async def test_a_silent_peer_is_pinged_and_not_yet_ended():
    heart = beat()
    device, wire = make_device()
    device.next_ping = 10.0
    wire.heard = 8.0
    heart._look(device, 10.0, 1_000.0)
    assert wire.pings == 1
    assert device.next_ping == 11.0
    assert not device.closed


async def test_a_peer_that_was_not_heard_for_the_timeout_is_ended():
    heart = beat()
    device, wire = make_device()
    wire.heard = 5.0
    heart._look(device, 8.1, 1_000.0)
    assert wire.closed is not None
    assert wire.closed[0] == 4201


async def test_a_token_is_warned_about_once_and_then_ends_its_connection():
    heart = beat()
    device, wire = make_device()
    device.principal = make_principal(shown_at=1_000.0, expires_at=2_000)
    device.next_ping = 1e9
    for wall in (1_900.0, 1_950.0, 1_999.0):
        heart._look(device, 0.0, wall)
    await tick(2)
    assert [frame["type"] for frame in wire.frames()] == ["token_expiring"]
    assert wire.frames()[0]["data"]["expires_in_ms"] == 50_000
    heart._look(device, 0.0, 2_000.1)
    assert wire.closed is not None
    assert wire.closed[0] == 4202


@pytest.mark.parametrize(
    "times", [{"issued_at": 1_000.0, "shown_at": 1_030.0}, {"shown_at": 1_000.0}]
)
async def test_a_short_token_on_an_old_connection_is_warned_about_when_a_fifth_of_it_is_left(times):
    heart = beat()
    device, wire = make_device()
    device.principal = make_principal(expires_at=1_050, **times)
    device.connected_at = 0
    device.next_ping = 1e9
    heart._look(device, 0.0, 1_001.0)
    await tick(2)
    assert wire.frames() == []
    heart._look(device, 0.0, 1_041.0)
    await tick(2)
    assert [frame["data"]["expires_in_ms"] for frame in wire.frames()] == [9_000]


async def test_the_pings_of_those_who_came_together_are_spread():
    heart = beat()
    due = set()
    for number in range(50):
        device, _ = make_device(f"user{number}")
        heart.add(device)
        due.add(device.next_ping)
    assert len(due) > 40


async def test_a_device_that_left_is_no_longer_looked_at():
    heart = beat()
    device, wire = make_device()
    heart.add(device)
    heart.remove(device)
    running = asyncio.create_task(heart.run())
    wire.heard = -1e9
    await asyncio.sleep(0.3)  # longer than a sweep
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert wire.closed is None
