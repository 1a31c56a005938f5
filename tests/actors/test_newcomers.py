"""Conversations that a device which is here already was let into, where the word of it did not come
in its turn, or not at all; with either kind of link between the nodes."""

import asyncio
from concurrent.futures import Future
from functools import partial
from typing import Any

from anmei.commands import AddParticipants, CreateConversation, RemoveParticipant, SendMessage
from anmei.ids import new_id
from anmei.inbox import inbox_key
from db import queries
from tests.actors.full_nodes import ROOM, FullNode, Pair, Person, fail_on
from tests.actors.redis_nodes import quiet, until

ZOE = "default/zoe"


class Held:
    """The numbered events that a node publishes, kept from the others until `release`."""

    def __init__(self, node: FullNode) -> None:
        self.envelopes: list[tuple[str, dict[str, Any]]] = []
        self._node = node
        self._publish = node.bus.publish
        node.bus.publish = self._keep

    def _keep(self, node_id: str, envelope: dict[str, Any]) -> None:
        if envelope["kind"] == "change":
            self.envelopes.append((node_id, envelope))
        else:
            self._publish(node_id, envelope)

    def lose(self) -> None:
        self.envelopes.clear()
        self._node.bus.publish = self._publish

    async def release_backwards(self) -> None:
        """The last one first, each when the one before has been received."""
        self._node.bus.publish = self._publish
        for node_id, envelope in reversed(self.envelopes):
            self._publish(node_id, envelope)
            await self._node.bus.settled()
            await quiet()  # what the other node then reads of it


async def kept_from(pair: Pair, user_id: str) -> tuple[Person, Held]:
    """Somebody on the second node, and what the first publishes from then on."""
    person = await pair.two.person(user_id)
    await pair.two.bus.settled()
    return person, Held(pair.one)


def said(content: str, by: str = "default/ada", room: str = ROOM) -> SendMessage:
    return SendMessage(room, by, "Ada", new_id("msg"), new_id("c"), content, 3)


def numbered(person: Person, room: str = "room") -> list[tuple[str, int]]:
    return [
        (frame["type"], frame["data"]["change_seq"])
        for frame in person.wire.frames()
        if frame["type"] in ("new_message", "message_updated", "conversation_updated")
        and frame["data"]["conversation_id"] == room
    ]


async def test_who_is_let_in_by_a_word_that_is_lost_is_told_when_the_loss_is_noticed(
    pair: Pair,
) -> None:
    """Nothing follows it that could say so."""
    zoe, held = await kept_from(pair, "zoe")
    await pair.one.do(AddParticipants(ROOM, "default/ada", (ZOE,), 2))
    await pair.one.do(said("welcome"))
    held.lose()
    assert numbered(zoe) == []
    pair.two.router.gap()
    await until(lambda: zoe.contents() == ["welcome"])
    await pair.one.do(said("again"))
    await until(lambda: zoe.contents() == ["welcome", "again"])
    assert numbered(zoe) == [("conversation_updated", 2), ("new_message", 3), ("new_message", 4)]


async def test_who_was_put_out_of_one_and_let_into_another_is_told_of_both(pair: Pair) -> None:
    """By their number alone the conversations of a device are what the store has, then."""
    other = "default/other"
    await pair.one.do(CreateConversation(other, "group", "default/ada", (ZOE,), 2))
    zoe, held = await kept_from(pair, "zoe")
    await pair.one.do(RemoveParticipant(other, "default/ada", ZOE, 3))
    await pair.one.do(AddParticipants(ROOM, "default/ada", (ZOE,), 3))
    await pair.one.do(said("welcome"))
    held.lose()
    pair.two.router.gap()
    await until(lambda: zoe.contents() == ["welcome"])
    await until(lambda: numbered(zoe, "other")[-1:] == [("conversation_updated", 2)])
    assert set(zoe.device.conversations) == {ROOM, inbox_key(ZOE)}


async def test_who_is_let_in_where_others_of_the_node_are_is_told_of_it_all_the_same(
    pair: Pair,
) -> None:
    """The word was on its way when somebody came who found it in the store."""
    zoe, held = await kept_from(pair, "zoe")
    await pair.one.do(AddParticipants(ROOM, "default/ada", (ZOE,), 2))
    await pair.one.do(said("welcome"))
    bob = await pair.two.person("bob")
    await held.release_backwards()
    await pair.one.do(said("again"))
    await until(lambda: bob.contents()[-1:] == ["again"])
    pair.two.router.gap()
    await until(lambda: zoe.contents()[-1:] == ["again"])
    assert zoe.contents() == ["welcome", "again"]


async def test_words_that_cross_cost_who_is_let_in_nothing(pair: Pair) -> None:
    zoe, held = await kept_from(pair, "zoe")
    await pair.one.do(CreateConversation("default/new", "group", "default/ada", (ZOE,), 2))
    await pair.one.do(said("one", room="default/new"))
    await pair.one.do(said("two", room="default/new"))
    assert [envelope["seq"] for _, envelope in held.envelopes] == [1, 2, 3]
    await held.release_backwards()
    await until(lambda: zoe.contents() == ["one", "two"])
    assert numbered(zoe, "new") == [
        ("conversation_updated", 1),
        ("new_message", 2),
        ("new_message", 3),
    ]


async def test_who_was_put_out_meanwhile_is_not_let_in_by_an_old_word(pair: Pair) -> None:
    zoe, held = await kept_from(pair, "zoe")
    await pair.one.do(AddParticipants(ROOM, "default/ada", (ZOE,), 2))
    await pair.one.do(said("while zoe was in"))
    await pair.one.do(RemoveParticipant(ROOM, "default/ada", ZOE, 4))
    held.lose()
    pair.two.router.gap()
    bob = await pair.two.person("bob")
    await pair.one.do(said("without zoe"))
    await until(lambda: bob.contents()[-1:] == ["without zoe"])
    assert zoe.contents() == []


async def test_what_a_device_was_let_into_while_it_was_welcomed_is_found_too(pair: Pair) -> None:
    """The other node did not know yet that anybody was here, and sent nothing."""
    zoe = Person(pair.two, "zoe")
    look = pair.two.store.read

    def read(query: Any, *args: Any) -> Any:
        view = look(query, *args)
        if query is not queries.attach_view:
            return view
        late: Future[Any] = Future()
        add = AddParticipants(ROOM, "default/ada", (ZOE,), 2)
        written = partial(pair.one.store.write, [add])
        view.add_done_callback(
            lambda view: written().add_done_callback(lambda _: late.set_result(view.result()))
        )
        return late

    pair.two.store.read = read
    await zoe.welcomed()
    await until(lambda: numbered(zoe) == [("conversation_updated", 2)])


async def test_a_hole_whose_read_crashes_is_read_again(pair: Pair, expect_log: Any) -> None:
    expect_log("fill crashed")
    bob, held = await kept_from(pair, "bob")
    await pair.one.do(said("lost"))
    held.lose()
    crashes = fail_on(pair.two.store, queries.hole, times=1)
    await pair.one.do(said("heard"))
    await until(lambda: bob.contents() == ["lost", "heard"])
    assert not crashes
    assert pair.two.counters.crashes == 1
    pair.two.counters.crashes = 0


async def test_whoever_cannot_be_replayed_to_is_sent_away_and_not_left_waiting(
    pair: Pair, expect_log: Any
) -> None:
    expect_log("newcomer crashed")
    zoe, held = await kept_from(pair, "zoe")
    await pair.one.do(AddParticipants(ROOM, "default/ada", (ZOE,), 1))
    held.lose()
    fail_on(pair.two.store, queries.changes_many)
    pair.two.router.gap()
    await until(lambda: zoe.wire.closed is not None)
    assert zoe.wire.closed[0] == 4100
    assert pair.two.counters.crashes == 1
    pair.two.counters.crashes = 0


async def test_what_was_set_where_nobody_knew_yet_that_a_device_is_here_is_found_too(
    pair: Pair,
) -> None:
    phone = await pair.one.person("bob")
    await pair.one.bus.settled()
    known, settled = asyncio.Event(), pair.two.bus.settled

    async def settled_later() -> None:
        await known.wait()
        await settled()

    pair.two.bus.settled = settled_later
    publish = pair.one.bus.publish
    pair.one.bus.publish = lambda node_id, envelope: None
    laptop = await Person(pair.two, "bob").welcomed()
    phone.say("mute_conversation", conversation_id="room", on=True)
    await until(lambda: phone.of("preference_update"))
    assert laptop.of("preference_update") == []
    pair.one.bus.publish = publish
    known.set()
    await until(lambda: laptop.of("preference_update"))
    assert laptop.of("preference_update") == phone.of("preference_update")
