"""What a live device does not acknowledge in time comes again, and only that."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from actors.bus_memory import Hub
from actors.presence_memory import Table
from actors.resend import MOST_EVENTS
from anmei.commands import AddParticipants, CreateConversation
from anmei.settings import Settings
from db import queries
from db.store import Store
from tests.actors.full_nodes import ROOM, FullNode, Person, fail_on
from tests.actors.redis_nodes import until

TIMEOUT = Settings().ack_timeout / 1000


class Scene:
    """Bob writes, and ada's device acknowledges or does not."""

    node: FullNode
    ada: Person
    bob: Person

    async def start(self, store: Store) -> None:
        self.node = FullNode("node_1", store, "", Hub(), Table())
        await self.node.start()
        people = ("default/ada", "default/bob")
        await self.node.do(CreateConversation(ROOM, "group", people[0], people, 1))
        self.ada, self.bob = await self.node.person("ada"), await self.node.person("bob")

    @property
    def resends(self) -> int:
        return self.node.counters.resends

    async def say(self, person: Person, *contents: str) -> int:
        """Sends; the number of the last message, once everybody has it."""
        for content in contents:
            person.send(content)
        await until(lambda: self.ada.contents()[-1:] == [contents[-1]])
        return int(self.ada.of("new_message")[-1]["seq"])

    async def acknowledge(self, person: Person, **what: Any) -> None:
        before = len(person.of("ack"))
        person.say("delivered", conversation_id="room", **what)
        await until(lambda: len(person.of("ack")) > before)

    async def later(self, waits: float) -> None:
        """A look when so many times the time to acknowledge is over, and all that comes of it."""
        resend = self.node.router.resend
        sequencer = self.node.router.sequencers[ROOM]
        if sequencer in resend._watches:
            resend.look(sequencer, asyncio.get_running_loop().time() + waits * TIMEOUT)
        await until(lambda: not resend._under_way)

    def again(self, person: Person) -> list[str]:
        return [one["content"] for one in person.of("new_message") if one.get("resent")]


@pytest.fixture
def scene(io_loop: IOLoop, tmp_path: Path) -> Iterator[Scene]:
    made = Scene()
    store = Store(f"sqlite:///{tmp_path}/anmei.db", readers=2, timeout_ms=30_000)
    io_loop.run_sync(lambda: made.start(store))
    yield made
    io_loop.run_sync(made.node.stop)


async def test_it_comes_again_in_order_from_what_was_acknowledged(scene: Scene):
    seq = await scene.say(scene.bob, "1")
    await scene.acknowledge(scene.ada, seq=seq)
    await scene.say(scene.bob, "2", "3")
    await scene.later(0.5)
    assert scene.again(scene.ada) == []
    await scene.later(1.1)  # what was watched is acknowledged; now the newer ones are
    await scene.later(2.2)
    await until(lambda: scene.again(scene.ada) == ["2", "3"])
    assert scene.again(scene.bob) == []


async def test_it_comes_so_often_and_no_more(scene: Scene):
    seq = await scene.say(scene.bob, "1")
    await scene.acknowledge(scene.ada, seq=seq)
    await scene.later(1.1)
    await scene.say(scene.bob, "2")
    for waits, resends in ((1.1, 1), (1.5, 1), (2.1, 2), (3.1, 2), (9, 2)):
        await scene.later(waits)
        assert scene.resends == resends
    assert scene.node.router.resend._watches == {}
    await until(lambda: scene.again(scene.ada) == ["2", "2"])


async def test_who_acknowledges_again_gets_the_next_one_again(scene: Scene):
    await scene.acknowledge(scene.ada, seq=await scene.say(scene.bob, "1"))
    await scene.later(1.1)
    for content in ("2", "3"):
        seq = await scene.say(scene.bob, content)
        before = scene.resends
        for waits in (1.1, 2.1, 3.1):
            await scene.later(waits)
        assert scene.resends == before + 2
        await scene.acknowledge(scene.ada, seq=seq)


async def test_a_device_that_acknowledges_nothing_is_left_alone(scene: Scene):
    await scene.say(scene.bob, "1", "2")
    for waits in (1.1, 2.1, 3.1):
        await scene.later(waits)
    assert scene.resends == 0
    assert scene.node.router.resend._watches == {}


async def test_nobody_has_to_acknowledge_his_own(scene: Scene):
    await scene.acknowledge(scene.ada, seq=await scene.say(scene.bob, "1"))
    await scene.say(scene.ada, "2")
    for waits in (1.1, 2.1, 3.1):
        await scene.later(waits)
    assert scene.resends == 0


async def test_an_own_message_does_not_hide_one_that_was_not_acknowledged(scene: Scene):
    await scene.acknowledge(scene.ada, seq=await scene.say(scene.bob, "1"))
    await scene.later(1.1)
    await scene.say(scene.bob, "2")
    await scene.say(scene.ada, "3")
    await scene.later(1.1)
    await until(lambda: scene.again(scene.ada) == ["2", "3"])


async def test_what_was_acknowledged_on_an_earlier_connection_does_not_come_again(scene: Scene):
    seq = await scene.say(scene.bob, "1")
    await scene.acknowledge(scene.ada, seq=seq)
    scene.node.router.detach(scene.ada.device, 1006)
    scene.ada = await scene.node.person("ada")
    scene.ada.device.acked = {}  # it has acknowledged something, elsewhere
    await scene.later(1.1)
    assert scene.resends == 0


async def test_of_a_long_backlog_the_last_events_come_again(scene: Scene):
    await scene.acknowledge(scene.ada, seq=await scene.say(scene.bob, "first"))
    await scene.later(1.1)
    await scene.say(scene.bob, *[str(number) for number in range(MOST_EVENTS + 20)])
    await scene.later(1.1)
    await scene.later(1.2)
    await until(lambda: len(scene.again(scene.ada)) == MOST_EVENTS)
    assert scene.again(scene.ada)[-1] == str(MOST_EVENTS + 19)
    assert scene.node.counters.resets == 0


async def test_what_was_said_before_somebody_came_in_does_not_come_again_for_them(scene: Scene):
    """It never came: what was there before is in the history."""
    eve = await scene.node.person("eve")
    eve.device.acked = {}  # it has acknowledged something, elsewhere
    await scene.say(scene.bob, "before")
    await scene.node.do(AddParticipants(ROOM, "default/ada", ("default/eve",), 1))
    await until(lambda: eve.of("conversation_updated"))
    await scene.later(1.1)
    assert scene.again(eve) == []
    await scene.say(scene.bob, "since")
    await until(lambda: eve.contents() == ["since"])
    for waits in (1.1, 1.1, 2.1):  # what was watched first is settled
        await scene.later(waits)
    await until(lambda: scene.again(eve) == ["since"] * 2)


async def test_nothing_comes_again_into_a_replay_that_is_under_way(scene: Scene):
    seq = await scene.say(scene.bob, "1")
    await scene.acknowledge(scene.ada, seq=seq)
    await scene.say(scene.bob, "2")
    scene.ada.device.hold(ROOM)
    for waits in (1.1, 1.1, 2.2):
        await scene.later(waits)
    assert scene.resends == 0
    scene.ada.device.release(ROOM)
    await scene.later(2.2)
    assert scene.resends == 1


async def test_a_device_is_not_left_waiting_behind_a_replay_that_crashed(
    scene: Scene, expect_log: Any
):
    expect_log("resend crashed")
    await scene.acknowledge(scene.ada, seq=await scene.say(scene.bob, "1"))
    await scene.later(1.1)
    await scene.say(scene.bob, "2")
    fail_on(scene.node.store, queries.changes_many)
    await scene.later(1.1)
    assert scene.ada.wire.closed is not None
    assert scene.ada.wire.closed[0] == 4100
    assert scene.node.counters.crashes == 1
    scene.node.counters.crashes = 0
