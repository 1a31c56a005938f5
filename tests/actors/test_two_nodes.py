"""Two nodes on one store: what happens on one is seen on the other, with either kind of link."""

import asyncio
from typing import Any

from anmei.codec import encode
from anmei.commands import AddParticipants, CreateConversation, RemoveParticipant
from tests.actors.full_nodes import ROOM, SETTINGS, Person
from tests.actors.redis_nodes import until


async def test_a_message_reaches_every_device_on_both_nodes_once(pair):
    ada, bob = await pair.one.person("ada"), await pair.two.person("bob")
    ada_too = await pair.two.person("ada")
    ada.send("from one")
    await until(lambda: bob.contents() and ada_too.contents())
    bob.send("from two")
    everybody = (ada, bob, ada_too)
    await until(lambda: all(len(person.contents()) == 2 for person in everybody))
    for person in everybody:
        assert person.contents() == ["from one", "from two"]


async def test_two_nodes_that_write_at_once_are_seen_in_one_order(pair):
    people = [
        await pair.one.person("ada"),
        await pair.two.person("bob"),
        await pair.one.person("eve"),
        await pair.two.person("eve"),
    ]
    for n in range(100):
        people[0].send(f"a{n}")
        people[1].send(f"b{n}")
        if n % 5 == 0:
            await asyncio.sleep(0.005)
    await until(lambda: all(len(person.contents()) >= 200 for person in people))
    orders = [person.contents() for person in people]
    assert all(order == orders[0] for order in orders)
    assert sorted(orders[0]) == sorted(
        [f"a{n}" for n in range(100)] + [f"b{n}" for n in range(100)]
    )
    for person in people:
        numbers = [message["change_seq"] for message in person.of("new_message")]
        assert numbers == list(range(numbers[0], numbers[0] + 200))


async def test_typing_crosses_before_anything_was_ever_said(pair):
    ada, bob = await pair.one.person("ada"), await pair.two.person("bob")
    await pair.two.bus.settled()
    bob.say("typing", conversation_id="room", is_typing=True)
    await until(lambda: ada.of("typing"))
    assert ada.of("typing")[0]["user_id"] == "bob"
    assert bob.of("typing") == []


async def test_who_looks_at_a_conversation_is_told_on_the_other_node(pair):
    ada, bob = await pair.one.person("ada"), await pair.two.person("bob")
    await pair.two.bus.settled()
    bob.say("join_session", conversation_id="room")
    await until(lambda: ada.of("session_joined"))
    pair.two.router.detach(bob.device, 1000)
    await until(lambda: ada.of("session_left"))


async def test_receipts_cross_to_the_senders_and_to_ones_own_other_devices(pair):
    ada, bob = await pair.one.person("ada"), await pair.two.person("bob")
    bob_too = await pair.one.person("bob")
    await pair.one.bus.settled()
    ada.send("read me")
    await until(lambda: bob.contents() and bob_too.contents())
    seq = bob.of("new_message")[0]["seq"]
    bob.say("mark_read", conversation_id="room", seq=seq)
    await until(lambda: ada.of("message_status_update"))
    assert ada.of("message_status_update")[-1]["last_read_seq"] == seq
    await until(lambda: bob_too.of("unread_update"))
    assert bob_too.of("unread_update")[-1]["unread"] == 0


async def test_coming_and_going_is_told_on_the_other_node(pair):
    ada = await pair.one.person("ada")
    ada.send("so that it is known here who takes part")
    await until(ada.contents)
    bob = await pair.two.person("bob")
    await until(
        lambda: [news["status"] for news in ada.of("user_status_update")][-1:] == ["online"]
    )
    bob.say("set_status", status="busy")
    await until(lambda: [news["status"] for news in ada.of("user_status_update")][-1:] == ["busy"])
    pair.two.router.detach(bob.device, 1000)
    await until(lambda: [n["status"] for n in ada.of("user_status_update")][-1:] == ["offline"])
    assert {news["user_id"] for news in ada.of("user_status_update")} == {"bob"}


async def test_who_was_on_a_node_that_died_is_gone_for_all_also_where_nothing_was_ever_said(pair):
    """And back when the node was only away."""
    ada, bob = await pair.one.person("ada"), await pair.two.person("bob")
    await pair.one.do(
        CreateConversation("default/pair", "direct", "default/eve", ("default/bob",), 1)
    )
    eve = await pair.one.person("eve")
    await pair.two.bus.settled()
    await until(lambda: pair.one.presence.seats("default/bob"))
    assert pair.one.router.sequencers[ROOM].members is None
    presence = pair.two.presence

    def statuses(person: Person) -> list[tuple[str, str, bool]]:
        return [
            (news["user_id"], news["status"], news["last_seen_at"] is not None)
            for news in person.of("user_status_update")
            if news["user_id"] == "bob"
        ]

    seen = {person: len(statuses(person)) for person in (ada, eve)}
    presence.leave("default/bob")  # as the survivors see it: a seat that goes without a word
    for person in (ada, eve):
        await until(lambda person=person: len(statuses(person)) > seen[person])
        assert statuses(person)[-1] == ("bob", "offline", True)
    presence.enter("default/bob", "online", {bob.device.connection_id: 1})
    for person in (ada, eve):
        await until(lambda person=person: len(statuses(person)) > seen[person] + 1)
        assert statuses(person)[-1] == ("bob", "online", False)
        assert len(statuses(person)) == seen[person] + 2
    assert pair.one.router.sequencers[ROOM].members is None


async def test_who_is_removed_hears_it_on_the_other_node_and_then_nothing(pair):
    ada, bob = await pair.one.person("ada"), await pair.two.person("bob")
    eve = await pair.two.person("eve")
    await pair.two.bus.settled()
    await pair.one.do(RemoveParticipant(ROOM, "default/ada", "default/bob", 2))
    await until(lambda: any(data.get("removed") for data in bob.of("conversation_updated")))
    ada.send("without bob")
    ada.say("typing", conversation_id="room", is_typing=True)
    await until(lambda: eve.contents() and eve.of("typing"))
    assert bob.contents() == bob.of("typing") == []
    bob.say("typing", conversation_id="room", is_typing=True)
    await until(lambda: "error" in [frame["type"] for frame in bob.wire.frames()])
    await asyncio.sleep(0.2)
    assert ada.of("typing") == []


async def test_who_is_added_on_one_node_hears_the_conversation_on_the_other(pair):
    zoe = await pair.two.person("zoe")
    await pair.two.bus.settled()
    await pair.one.do(AddParticipants(ROOM, "default/ada", ("default/zoe",), 2))
    await until(lambda: zoe.of("conversation_updated"))
    ada = await pair.one.person("ada")
    ada.send("welcome")
    await until(lambda: zoe.contents() == ["welcome"])
    zoe.send("thanks")
    await until(lambda: ada.contents() == ["welcome", "thanks"])


async def test_the_limit_of_connections_holds_over_both_nodes(pair):
    most = SETTINGS.limit_connections_per_user
    people = []
    for n in range(most + 2):
        node = (pair.one, pair.two)[n % 2]
        people.append(await node.person("ada"))
        await node.bus.settled()
    await until(lambda: sum(person.wire.closed is not None for person in people) == 2)
    assert [person.wire.closed is not None for person in people] == [True] * 2 + [False] * most
    assert people[0].wire.closed[0] == 4010


async def test_a_message_costs_one_envelope_a_node_however_many_are_meant(pair):
    """And as many bytes, since it names no member."""
    ada = await pair.one.person("ada")
    crowd = [f"user{n}" for n in range(300)]
    for user_id in crowd:
        Person(pair.two, user_id)  # connected, which is all that presence asks
    bob = await pair.two.person("bob")
    await pair.one.do(AddParticipants(ROOM, "default/ada", ("default/user0",), 2))
    sent = []
    publish = pair.one.bus.publish

    def watch(node_id: str, envelope: dict[str, Any]) -> None:
        if envelope.get("type") == "new_message":
            sent.append((node_id, len(encode(envelope))))
        publish(node_id, envelope)

    pair.one.bus.publish = watch
    ada.send("to few")
    await until(lambda: len(bob.contents()) == 1)
    others = tuple(f"default/{user_id}" for user_id in crowd[1:])
    await pair.one.do(AddParticipants(ROOM, "default/ada", others, 3))
    ada.send("to all")
    await until(lambda: len(bob.contents()) == 2)
    assert [node_id for node_id, _ in sent] == ["node_2", "node_2"]
    assert abs(sent[0][1] - sent[1][1]) <= 4  # a number may have a digit more
