"""Whatever becomes of messages, on whichever node: a device that was away, as often as it likes,
ends with the state of one that stayed, and with that of the store."""

import asyncio
import itertools
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.welcome import Welcome
from anmei.commands import (
    AddParticipants,
    Change,
    CreateConversation,
    RemoveParticipant,
    SendMessage,
)
from anmei.commands_changes import EditMessage, ForwardMessage, PinMessage, React, RecallMessage
from anmei.ids import new_id
from anmei.settings import Settings
from db import queries
from db.store import Store
from tests.actors.full_nodes import FullNode, Pair, Person
from tests.actors.redis_nodes import until
from tests.support.replica import Replica

USERS = ("ada", "bob", "eve")
EMOJIS = ("👍", "❤️", "😀")


class Away:
    """A device of bob that comes and goes, and what it holds of two conversations."""

    def __init__(self, rooms: tuple[str, str]) -> None:
        self.replica = Replica()
        for room in rooms:
            self.replica.know(room)
        self.person: Person | None = None
        self._taken = 0

    async def come(self, node: FullNode, limit: int, total: int = 2_000) -> None:
        self.person = person = Person(node, "bob")
        self._taken = 0
        limits = Settings(limit_replay=limit, limit_replay_total=total, sync_wait=600_000)
        welcome = Welcome(person.device, node.router, limits, client_resumes=True)
        running = asyncio.ensure_future(welcome.run())
        await until(lambda: person.device.sync_requested)
        person.say("sync", positions=self.replica.positions)
        await running
        await until(lambda: person.of("sync_complete"))
        (complete,) = person.of("sync_complete")
        self.replica.begin(complete["conversations"])
        self.take()
        self.replica.end(complete["conversations"])

    def leave(self) -> None:
        assert self.person is not None
        self.take()
        self.person.node.router.detach(self.person.device, 1001)
        self.person = None

    def take(self) -> None:
        """Takes over what came since."""
        assert self.person is not None
        frames = self.person.wire.frames()
        for frame in frames[self._taken :]:
            self.replica.take(frame["type"], frame.get("data"))
        self._taken = len(frames)

    def reached(self, room: str, number: int) -> bool:
        self.take()
        return self.replica.positions[room] >= number


class World:
    """One history: two conversations on two nodes, and people who do things at once."""

    numbers = itertools.count(1)

    def __init__(self, pair: Pair, chance: random.Random) -> None:
        self.pair = pair
        self.chance = chance
        number = next(self.numbers)
        self.rooms = (f"room{number}", f"other{number}")
        #: Messages and who sent them.
        self.ids: list[tuple[str, str]] = []
        self.replies: list[asyncio.Task[Any]] = []

    @property
    def nodes(self) -> tuple[FullNode, FullNode]:
        return self.pair.one, self.pair.two

    async def begin(self) -> None:
        everybody = tuple(f"default/{name}" for name in USERS)
        for room in self.rooms:
            create = CreateConversation(f"default/{room}", "group", "default/ada", everybody, 1)
            await self.pair.one.do(create)

    def act(self, what: str, where: int) -> None:
        """Has something done by somebody, which is under way when this returns."""
        chance = self.chance
        room = f"default/{self.rooms[chance.random() < 0.3]}"
        by = f"default/{chance.choice(USERS)}"
        command: Any
        if what == "send":
            id = new_id("msg")
            self.ids.append((id, by))
            text = f"text {len(self.ids)}"
            command = SendMessage(room, by, "X", id, new_id("c"), text, len(self.ids))
        elif what == "put out":
            command = RemoveParticipant(room, "default/ada", "default/eve", 1)
        elif what == "let in":
            command = AddParticipants(room, "default/ada", ("default/eve",), 1)
        else:
            command = self.change(what, by)
        if command is not None:
            archive = self.nodes[where].archive
            self.replies.append(asyncio.ensure_future(archive.ask(command, 50)))

    def change(self, what: str, by: str) -> Any:
        if not self.ids:
            return None
        chance = self.chance
        # The latest more often than others: those are what races are about.
        last = len(self.ids) - 1
        id, sender = self.ids[last - min(int(chance.expovariate(0.4)), last)]
        asked = {"message_id": id, "by_key": by, "at": 2, "moderator": chance.random() < 0.5}
        if what == "edit":
            return EditMessage(**{**asked, "by_key": sender}, content=f"edit {chance.random()}")
        if what == "recall":
            return RecallMessage(**asked)
        if what == "pin":
            return PinMessage(**asked, on=chance.random() < 0.7)
        if what == "forward":
            copy = new_id("msg")
            self.ids.append((copy, by))
            return ForwardMessage(
                **asked,
                by_name="X",
                client_msg_id=new_id("f"),
                conversation_keys=(f"default/{chance.choice(self.rooms)}",),
                message_ids=(copy,),
            )
        return React(**asked, emoji=chance.choice(EMOJIS), on=chance.random() < 0.7)

    async def settled(self, *copies: Away) -> dict[str, Any]:
        """Everything is done and told; the store's own state of all messages."""
        await asyncio.gather(*self.replies, return_exceptions=True)
        for node in self.nodes:
            node.router.gap()  # somebody may have lost the last word
        found = {}
        for room in self.rooms:
            key = f"default/{room}"
            head = await self.read(queries.conversation, None, key)
            for copy in copies:
                await until(partial(copy.reached, room, head["change_seq"]))
                assert copy.replica.positions[room] == head["change_seq"]
            page = await self.read(queries.history, None, key, None, 0, 10_000)
            found.update({message["id"]: message for message in page["messages"]})
        return found

    async def read(self, query: Any, *args: Any) -> Any:
        return await asyncio.wrap_future(self.pair.one.store.read(query, *args))


_ACTS = ("send",) * 4 + ("edit", "edit", "react", "react", "recall", "pin", "forward")
_steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(_ACTS), st.integers(0, 1)),
        st.tuples(st.sampled_from(_ACTS), st.integers(0, 1)),
        st.tuples(st.sampled_from(["put out", "let in"]), st.integers(0, 1)),
        st.tuples(st.just("pause"), st.integers(0, 3)),
        st.tuples(st.just("move"), st.integers(0, 1)),
    ),
    min_size=8,
    max_size=60,
)


async def live(pair: Pair, steps: list[tuple[str, int]], seed: int, limit: int, total: int) -> None:
    world = World(pair, random.Random(seed))
    await world.begin()
    stayed, away = Away(world.rooms), Away(world.rooms)
    await stayed.come(pair.one, 10_000)
    for what, number in steps:
        if what == "pause":
            await asyncio.sleep(0.002 * number)
        elif what == "move" and away.person is not None:
            away.leave()
        elif what == "move":
            await away.come(world.nodes[number], limit, total)
        else:
            world.act(what, number)
    if away.person is None:
        await away.come(pair.two, limit, total)
    stored = await world.settled(stayed, away)
    assert stayed.replica.resets == 0
    assert stayed.replica.messages == stored
    floors = away.replica.floors
    assert away.replica.messages == {
        id: message
        for id, message in stored.items()
        if message["seq"] > floors[message["conversation_id"]]
    }
    stayed.leave()
    away.leave()


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 25), ("postgres", 5)])
def test_a_device_that_was_away_ends_as_one_that_stayed(
    kind: str,
    examples: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    # Holes are frequent here, and each would take this long.
    monkeypatch.setattr("actors.sequencer.HOLE_PATIENCE", 0.005)
    # A replay takes several reads, between which messages change.
    monkeypatch.setattr("actors.replay.PAGE", 4)
    pair = Pair()
    loss = random.Random(0)
    with asyncio.Runner() as runner:
        runner.run(pair.start([Store(url, readers=2, timeout_ms=30_000) for _ in range(2)], ""))
        for node in (pair.one, pair.two):
            monkeypatch.setattr(node.router, "offer", lossy(node.router.offer, loss))

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            _steps,
            st.integers(0, 2**32),
            st.sampled_from([5, 500]),
            st.sampled_from([1, 3, 8, 2_000]),
        )
        def check(steps: list[tuple[str, int]], seed: int, limit: int, total: int) -> None:
            loss.seed(seed)
            runner.run(live(pair, steps, seed, limit, total))

        check()
        runner.run(pair.stop())


def lossy(offer: Callable[[Change], None], chance: random.Random) -> Callable[[Change], None]:
    """Loses one event in ten on its way to a sequencer, so that it must be read from the store."""

    def maybe(change: Change) -> None:
        if chance.random() >= 0.1:
            offer(change)

    return maybe
