"""A replay brings a device up to date: whole, in order, once; however much, however late."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.counters import Counters
from actors.device import Device
from actors.replay import Replay
from actors.sequencer import Sequencer
from anmei.commands import Audience, Change, CreateConversation, Outcome, SendMessage
from anmei.commands_changes import EditMessage
from anmei.ids import new_id
from db import queries
from db.store import Store
from tests.actors.kit import Wire, make_device, tick
from tests.actors.redis_nodes import until

KEY = "default/room"


class Room:
    """A conversation in a real store, its sequencer, and a device that is to be replayed to."""

    def __init__(self, store: Store, device: Device, wire: Wire) -> None:
        self.store = store
        self.device = device
        self.wire = wire
        self.count = 0
        #: Messages by their `seq`.
        self.ids: dict[int, str] = {}
        self.tasks = asyncio.get_running_loop()
        self.counters = Counters()
        self.sequencer = Sequencer(
            KEY,
            0,
            loop=asyncio.get_running_loop(),
            seats=lambda key, users: [device] if "default/ada" in users else [],
            fill=lambda sequencer: self.tasks.create_task(self._fill()),
            counters=self.counters,
        )

    async def _fill(self) -> None:
        backlog, audience = await asyncio.wrap_future(
            self.store.read(queries.hole, KEY, self.sequencer.mark)
        )
        self.sequencer.filled(
            [Change(KEY, *event, audience) for event in backlog.events], backlog.head
        )

    async def write(self, number: int = 1) -> list[Change]:
        """Commits messages; returns the changes, not yet offered to the sequencer."""
        commands = []
        for _ in range(number):
            self.count += 1
            commands.append(
                SendMessage(
                    KEY, "default/bob", "Bob", new_id("msg"), f"m{self.count}", "x" * 200, 1
                )
            )
        outcomes: list[Outcome] = await asyncio.wrap_future(self.store.write(commands))
        self.ids |= {one.changes[0].change_seq: one.changes[0].data["id"] for one in outcomes}
        return [outcome.changes[0] for outcome in outcomes]

    async def edit(self, seq: int) -> Change:
        """Commits a change of a message; not yet offered to the sequencer."""
        self.count += 1
        command = EditMessage(
            message_id=self.ids[seq], by_key="default/bob", at=1, content=f"edit {self.count}"
        )
        (outcome,) = await asyncio.wrap_future(self.store.write([command]))
        return outcome.changes[0]

    async def say(self, number: int = 1) -> None:
        for change in await self.write(number):
            self.sequencer.offer(change)

    def replay(self, place: int, limit: int = 500, total: int = 2_000) -> Replay:
        return Replay(
            self.device,
            {KEY: place},
            store=self.store,
            limit=limit,
            total=total,
            counters=self.counters,
        )

    def numbers(self) -> list[int]:
        return [frame["data"]["change_seq"] for frame in self.wire.frames()]


@asynccontextmanager
async def room_on(url: str, *, limit: int = 1_000_000) -> AsyncIterator[Room]:
    store = await asyncio.to_thread(Store, url, readers=2, timeout_ms=30_000)
    await asyncio.to_thread(store.open)
    try:
        device, wire = make_device("ada", attached=False, limit=limit)
        room = Room(store, device, wire)
        create = CreateConversation(KEY, "group", "default/ada", ("default/bob",), created_at=1)
        (outcome,) = await asyncio.wrap_future(store.write([create]))
        room.sequencer.offer(outcome.changes[0])
        yield room
        room.sequencer.close()
    finally:
        await asyncio.to_thread(store.close)


async def test_what_was_missed_is_replayed_in_order_and_proven(database_url):
    async with room_on(database_url) as room:
        await room.say(30)
        report = await room.replay(11).run()
        await tick(3)
        assert room.numbers() == list(range(12, 32))
        assert report == {KEY: {"from": 11, "to": 31, "count": 20, "reset": False}}
        assert room.device.held is None


async def test_a_device_that_missed_nothing_is_live_at_once_and_reads_nothing(sqlite_url):
    async with room_on(sqlite_url) as room:
        await room.say(3)
        replay = room.replay(4)
        assert replay.begin() == []
        await room.say(1)
        await tick(3)
        assert room.numbers() == [5]


async def test_what_goes_out_meanwhile_follows_behind_the_replay(sqlite_url):
    async with room_on(sqlite_url) as room:
        await room.say(20)
        running = asyncio.ensure_future(room.replay(1).run())
        await tick()
        await room.say(10)
        await running
        await room.say(2)
        await tick(3)
        assert room.numbers() == list(range(2, 34))


async def test_more_than_may_be_held_is_read_from_the_store_instead(sqlite_url):
    async with room_on(sqlite_url, limit=24_000) as room:
        await room.say(60)  # 36 kB: more than may wait, so the replay stops for room
        room.wire.stalled = True
        running = asyncio.ensure_future(room.replay(1).run())
        await room.say(100)
        while room.device.queued < 12_000:
            await tick()
        await room.say(100)
        assert room.device.held is not None
        assert room.device.held[KEY].overflown
        room.wire.stalled = False
        room.wire.waiting = 0
        room.device.drained()
        await running
        await tick(3)
        assert room.numbers() == list(range(2, 262))


async def test_a_backlog_over_the_limit_is_answered_with_a_reset_and_the_newest_page(sqlite_url):
    async with room_on(sqlite_url) as room:
        await room.say(200)
        report = await room.replay(1, limit=100).run()
        await tick(3)
        assert room.numbers() == list(range(152, 202))
        assert report[KEY] == {"from": 151, "to": 201, "count": 50, "reset": True}
        await room.say(1)
        await tick(3)
        assert room.numbers()[-1] == 202


async def test_a_message_that_changes_between_two_pages_is_new_only_once(sqlite_url, monkeypatch):
    monkeypatch.setattr("actors.replay.PAGE", 10)
    async with room_on(sqlite_url, limit=2_000) as room:
        await room.say(40)  # of which few fit into the queue at once
        room.wire.stalled = True
        running = asyncio.ensure_future(room.replay(1).run())
        while room.device.queued < 900:
            await tick()
        # One that was sent and one that was not.
        changes = [await room.edit(number) for number in (2, 40)]
        for change in changes:
            room.sequencer.offer(change)
        while not running.done():
            await asyncio.sleep(0.001)
            room.wire.waiting = 0
            room.device.drained()
        await tick(3)
        events = [(frame["type"], frame["data"]["seq"]) for frame in room.wire.frames()]
        assert events[:38] == [("new_message", seq) for seq in range(2, 40)]
        assert events[38:40] == [("new_message", 41), ("message_updated", 2)]
        assert events[40:] == [("new_message", 40)]
        assert running.result()["default/room"]["to"] == 43


async def test_a_message_that_changes_while_it_is_read_is_not_told_as_an_update(sqlite_url):
    async with room_on(sqlite_url) as room:
        await room.say(3)
        replay = room.replay(1)
        replay.begin()
        # It is at the mark that the replay was begun with, and above it when it is read.
        change = await room.edit(4)
        running = asyncio.ensure_future(room.replay(1).run())
        await asyncio.sleep(0)
        room.sequencer.offer(change)
        await running
        await room.say(1)
        await tick(3)
        events = [(frame["type"], frame["data"]["seq"]) for frame in room.wire.frames()]
        assert events == [("new_message", seq) for seq in (2, 3, 4, 6)]


async def test_many_changes_of_few_messages_are_replayed_and_not_reset(sqlite_url):
    async with room_on(sqlite_url) as room:
        await room.say(2)
        for _ in range(30):
            room.sequencer.offer(await room.edit(2))
        report = await room.replay(2, limit=10).run()
        assert report["default/room"] == {"from": 2, "to": 33, "count": 2, "reset": False}
        await tick(3)
        events = [(frame["type"], frame["data"]["seq"]) for frame in room.wire.frames()]
        assert events == [("new_message", 3), ("message_updated", 2)]


async def test_a_place_from_a_store_that_is_gone_is_reset(sqlite_url):
    async with room_on(sqlite_url) as room:
        await room.say(5)
        report = await room.replay(900).run()
        await tick(3)
        assert report[KEY]["reset"] is True
        assert report[KEY]["to"] == 6


async def test_a_message_changed_between_a_replay_and_the_hole_behind_it_is_new_only_once(
    sqlite_url,
):
    """To all others here it is new; this device has just been sent it as it was before."""
    async with room_on(sqlite_url) as room:
        await room.say()
        await room.write(2)  # which do not come here
        edited, fill = asyncio.Event(), room._fill

        async def fill_later() -> None:
            await edited.wait()
            await fill()

        room._fill = fill_later
        running = asyncio.ensure_future(room.replay(1).run())
        await until(lambda: room.numbers() == [2, 3, 4])
        await room.edit(3)
        edited.set()
        await running
        await tick(3)
        got = [(frame["type"], frame["data"]["change_seq"]) for frame in room.wire.frames()]
        assert got == [*(("new_message", number) for number in (2, 3, 4)), ("message_updated", 5)]


async def test_a_conversation_one_is_not_in_is_not_reported(sqlite_url):
    async with room_on(sqlite_url) as room:
        replay = Replay(
            room.device,
            {"default/elsewhere": 3},
            store=room.store,
            limit=10,
            total=10,
            counters=room.counters,
        )
        assert await replay.run() == {}


async def test_a_replay_to_a_slow_reader_waits_for_him_rather_than_closing_him(sqlite_url):
    async with room_on(sqlite_url, limit=16_384) as room:
        await room.say(200)  # about 120 kB
        room.wire.stalled = True
        running = asyncio.ensure_future(room.replay(1).run())
        while not running.done():
            await asyncio.sleep(0.001)
            assert room.wire.waiting <= 16_384
            room.wire.waiting = 0
            room.device.drained()
        await tick(3)
        assert room.wire.closed is None
        assert room.numbers() == list(range(2, 202))


async def test_who_is_put_out_and_let_in_again_meanwhile_hears_nothing_of_the_old_membership(
    sqlite_url,
):
    async with room_on(sqlite_url, limit=16_384) as room:
        await room.say(200)
        room.wire.stalled = True
        running = asyncio.ensure_future(room.replay(1).run())
        while room.device.queued <= 8_192:
            await tick()
        await tick(3)  # what is in the queue is on the wire; more does not come, for want of room
        before = len(room.numbers())
        bob_alone = Audience(90, frozenset({"default/bob"}))
        again = Audience(91, frozenset({"default/ada", "default/bob"}))
        for number, audience in ((202, bob_alone), (203, again), (204, again)):
            data = {"conversation_id": "room", "change_seq": number}
            room.sequencer.offer(Change(KEY, number, "conversation_updated", data, audience))
        room.wire.stalled, room.wire.waiting = False, 0
        room.device.drained()
        assert await running == {}
        await tick(3)
        assert room.numbers()[before:] == [202, 203, 204]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["write", "offer", "tick", "tick", "pause"]), max_size=40), st.data()
)
def test_wherever_a_replay_falls_nothing_is_missed_and_nothing_comes_twice(steps, data):
    """Commits, routing and the replay's own steps interleaved in any way."""

    async def scenario(path: str) -> None:
        async with room_on(f"sqlite:///{path}/t.db") as room:
            await room.say(data.draw(st.integers(0, 8)))
            committed: list[Change] = []
            place = data.draw(st.integers(0, room.sequencer.mark))
            begin = data.draw(st.integers(0, len(steps)))
            async with asyncio.TaskGroup() as tasks:
                for index, step in enumerate([*steps, "end"]):
                    if index == begin:
                        tasks.create_task(room.replay(place).run())
                    if step == "write":
                        committed += await room.write(data.draw(st.integers(1, 3)))
                    elif step == "offer" and committed:
                        room.sequencer.offer(committed.pop(0))
                    elif step == "pause":
                        await asyncio.sleep(0.002)
                    else:
                        await tick()
            for change in committed:
                room.sequencer.offer(change)
            await tick(3)
            assert room.numbers() == list(range(place + 1, room.sequencer.mark + 1))

    with tempfile.TemporaryDirectory() as path:
        asyncio.run(scenario(path))
