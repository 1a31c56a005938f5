"""What other programs read in Redis is what the database says, whoever changed it."""

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from actors.bus_memory import Hub
from actors.link_redis import RedisDown
from actors.mirror_redis import RedisMirror
from actors.presence_memory import Table
from actors.reckoning import Reckoning
from anmei.commands import (
    AddParticipants,
    Command,
    CreateConversation,
    MoveMarks,
    RemoveParticipant,
    SendMessage,
)
from anmei.commands_changes import RecallMessage
from anmei.commands_inbox import MarkInbox, PostMessage
from anmei.errors import AnmeiError
from anmei.ids import new_id
from db import queries
from db.store import Store
from tests.actors.full_nodes import ROOM, FullNode
from tests.actors.redis_nodes import quiet, until
from tests.support.servers import Redis

PEOPLE = ("default/ada", "default/bob", "default/eve")


class Node(FullNode):
    """A node with a mirror that writes when it is told to."""

    def __init__(self, node_id: str, store: Store, redis_url: str) -> None:
        super().__init__(node_id, store, redis_url, Hub(), Table())
        self.mirror = RedisMirror(self.bus.link, self.bus, store)
        self.mirror.attend(self.router.relay)
        self.reckoning = Reckoning(self.router, self.router, self.mirror)
        self.router.agreement.attend(self.reckoning.synced, self.reckoning.unsure)
        self.heard = self.reckoning

    async def get(self, key: str) -> Any:
        (text,) = await self.bus.link.run([("GET", key)])
        return None if text is None else json.loads(text)

    async def fill(self, user_key: str) -> None:
        self.reckoning.asked(user_key)
        await self.mirror.round()


class Two:
    one: Node
    two: Node

    async def start(self, stores: list[Store], redis_url: str) -> None:
        self.one, self.two = (
            Node(f"node_{number}", store, redis_url) for number, store in enumerate(stores, 1)
        )
        for node in (self.one, self.two):
            await node.start()
        await until(lambda: self.one.bus.others == self.two.bus.others == 1)
        await until(lambda: self.one.presence.others() and self.two.presence.others())
        await quiet()
        for node in (self.one, self.two):
            node.mirror._anybody = 0.0  # as after a minute
        await self.one.do(CreateConversation(ROOM, "group", PEOPLE[0], PEOPLE, 1))

    async def stop(self) -> None:
        await self.two.stop()
        await self.one.stop()

    async def truth(self, user_key: str) -> Any:
        return await asyncio.wrap_future(self.one.store.read(queries.unread, user_key))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put off because the machine is busy."""
    monkeypatch.setattr("actors.mirror_redis.LATE", 30.0)
    monkeypatch.setattr("actors.mirror_redis.SETTLE", 30.0)


@pytest.fixture
def nodes(redis_server: Redis, io_loop: IOLoop, tmp_path: Path) -> Iterator[Two]:
    made = Two()
    url = f"sqlite:///{tmp_path}/anmei.db"
    stores = [Store(url, readers=2, timeout_ms=30_000) for _ in range(2)]
    io_loop.run_sync(lambda: made.start(stores, redis_server.url))
    yield made
    io_loop.run_sync(made.stop)


def message(sender: str) -> SendMessage:
    return SendMessage(ROOM, sender, "S", new_id("msg"), new_id("c"), "x", 1)


def post(*users: str) -> PostMessage:
    return PostMessage(new_id("msg"), "default/shop", "S", new_id("c"), "x", 1, users)


def step(chance: random.Random, sent: list[str]) -> Command:
    user = chance.choice(PEOPLE)
    kind = chance.choice(("send", "send", "read", "out", "in", "recall", "post", "inbox"))
    if kind == "read":
        return MoveMarks(ROOM, user, True, 1, seq=chance.randint(1, len(sent) + 2))
    if kind == "out":
        return RemoveParticipant(ROOM, PEOPLE[0], chance.choice(PEOPLE[1:]), 1)
    if kind == "in":
        return AddParticipants(ROOM, PEOPLE[0], PEOPLE[1:], 1)
    if kind == "recall" and sent:
        return RecallMessage(message_id=chance.choice(sent), by_key=PEOPLE[0], at=1, moderator=True)
    if kind == "post":
        return post(*PEOPLE[:2])
    if kind == "inbox":
        return MarkInbox(user, True, 1, seq=chance.randint(1, 9))
    command = message(user)
    sent.append(command.message_id)
    return command


async def test_after_any_history_on_two_nodes_what_is_there_is_what_the_rows_say(nodes: Two):
    chance = random.Random(7)
    sent: list[str] = []
    seen = 0
    for _ in range(60):
        node = chance.choice((nodes.one, nodes.two))
        if chance.random() < 0.5:
            await node.fill(chance.choice(PEOPLE))
        actor = chance.choice((nodes.one, nodes.two))
        with contextlib.suppress(AnmeiError):
            await actor.do(step(chance, sent))
        await actor.mirror._take_away()
        for user in PEOPLE:
            id = user.partition("/")[2]
            count = await node.get(f"unread_count:user:{id}")
            newest = await node.get(f"messages:user:{id}")
            assert (count is None) == (newest is None)
            if count is not None:
                seen += 1
                assert count == await nodes.truth(user)
                assert len(newest) == min(20, count["total"])
    assert seen > 20


async def test_what_changed_is_counted_anew_while_somebody_wants_to_know(nodes: Two):
    await nodes.one.fill("default/bob")
    assert (await nodes.one.get("unread_count:user:bob"))["total"] == 0
    await nodes.one.do(message("default/ada"))
    await nodes.one.mirror.round()
    assert (await nodes.one.get("unread_count:user:bob"))["conversations"] == {"room": 1}
    (shown,) = await nodes.one.get("messages:user:bob")
    assert (shown["content"], shown["conversation_id"]) == ("x", "room")


async def test_what_another_node_changed_is_counted_anew_where_it_is_wanted(nodes: Two):
    await nodes.one.fill("default/bob")
    await nodes.two.do(message("default/ada"))
    await nodes.two.mirror.round()
    assert await nodes.one.get("unread_count:user:bob") is None
    await until(lambda: nodes.one.mirror._due)
    await nodes.one.mirror.round()
    assert (await nodes.one.get("unread_count:user:bob"))["total"] == 1


async def test_what_changes_while_others_are_taken_away_goes_with_the_next_round(
    nodes: Two, monkeypatch: pytest.MonkeyPatch
):
    await nodes.one.fill("default/bob")
    link, mirror = nodes.one.bus.link, nodes.one.mirror
    run = link.run

    async def slow(*args: Any, **options: Any) -> list[Any]:
        answers: list[Any] = await run(*args, **options)
        await nodes.one.do(message("default/ada"))
        return answers

    mirror._stale.add("default/eve")
    monkeypatch.setattr(link, "run", slow)
    await mirror._take_away()
    monkeypatch.undo()
    await mirror._take_away()
    assert await nodes.one.get("unread_count:user:bob") is None


async def test_what_could_not_be_taken_away_once_more_is_when_redis_is_back(
    nodes: Two, monkeypatch: pytest.MonkeyPatch
):
    await nodes.one.fill("default/bob")
    link, mirror = nodes.one.bus.link, nodes.one.mirror

    async def down(*args: Any, **options: Any) -> list[Any]:
        raise RedisDown("away")

    mirror._twice.insert(0, (0.0, {"default/bob"}))
    monkeypatch.setattr(link, "run", down)
    with pytest.raises(RedisDown):
        await mirror._take_away()
    monkeypatch.undo()
    await mirror._take_away()
    assert await nodes.one.get("unread_count:user:bob") is None


async def test_a_user_whom_nobody_asked_for_is_not_there(nodes: Two):
    await nodes.one.do(message("default/ada"))
    await nodes.one.mirror.round()
    assert await nodes.one.get("unread_count:user:bob") is None


async def test_a_node_that_may_have_missed_a_word_takes_everybody_away(nodes: Two):
    await nodes.one.fill("default/bob")
    nodes.two.mirror._known.clear()
    nodes.two.router.gap()
    await nodes.two.do(message("default/ada"))
    await nodes.two.mirror.round()
    assert await nodes.one.get("unread_count:user:bob") is None


async def test_the_state_of_a_message_is_there_and_follows_its_marks(nodes: Two):
    command, personal = message("default/ada"), post("default/bob")
    await nodes.one.do(command)
    await nodes.one.do(personal)
    await nodes.one.mirror.round()
    key, other = (f"message_delivery_status:{one.message_id}" for one in (command, personal))
    assert await nodes.one.get(key) == {
        "status": "sent",
        "recipients": 2,
        "delivered": 0,
        "read": 0,
    }
    assert (await nodes.one.get(other))["status"] == "sent"
    for user in PEOPLE[1:]:
        await nodes.two.do(MoveMarks(ROOM, user, True, 1, seq=9))
    await nodes.two.do(MarkInbox("default/bob", True, 1, message_ids=(personal.message_id,)))
    await nodes.two.mirror.round()
    assert (await nodes.one.get(key))["status"] == "read"
    assert (await nodes.one.get(other))["status"] == "read"


async def test_a_device_that_was_brought_up_to_date_is_there(nodes: Two):
    await nodes.one.do(message("default/ada"))
    person = await nodes.one.person("bob")
    await nodes.one.mirror.round()
    line = await nodes.one.get("sync_status:bob")
    assert (line["device_id"], line["events"]) == (person.device.device_id, 2)


async def test_without_redis_nothing_is_written_and_nothing_is_wrong_after(
    nodes: Two, redis_server: Redis, expect_log: Any
):
    expect_log("Redis cannot be reached")
    expect_log("Redis is back")
    both = (nodes.one.bus, nodes.two.bus)
    await nodes.one.fill("default/bob")
    await asyncio.to_thread(redis_server.kill9)
    await until(lambda: all(bus._reported for bus in both))
    await nodes.one.do(message("default/ada"))
    with pytest.raises(RedisDown):
        await nodes.one.mirror.round()
    await asyncio.to_thread(redis_server.start)
    await until(lambda: not any(bus._reported for bus in both))
    await nodes.one.mirror._take_away()
    assert await nodes.one.get("unread_count:user:bob") is None


async def test_totals_reach_the_devices_on_all_nodes_when_one_has_read(nodes: Two):
    here, there = await nodes.one.person("bob"), await nodes.two.person("bob")
    nodes.one.supervisor.start("reckoning", nodes.one.reckoning.run)
    await nodes.one.do(message("default/ada"))
    await until(lambda: here.contents())
    await nodes.one.do(post("default/bob"))
    here.say("mark_read", conversation_id="room", seq=9)
    wanted = {"total": 1, "inbox": 1, "by_type": {"text": 1}, "by_priority": {"normal": 1}}
    for person in (here, there):
        # Others may come before it: of what there was when the first count was made.
        await until(lambda person=person: person.of("unread_totals")[-1:] == [wanted])
