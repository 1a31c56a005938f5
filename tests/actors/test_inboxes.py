"""Inboxes on two nodes of one store, with either kind of link between them."""

import asyncio
from typing import Any

import pytest

from actors import archive
from anmei.commands_inbox import PostMessage
from anmei.ids import new_id
from anmei.inbox import inbox_key
from tests.actors.full_nodes import FullNode, Pair, Person
from tests.actors.redis_nodes import until


def post(*users: str, tenant: str = "default", content: str = "News", **more: Any) -> PostMessage:
    more.setdefault("client_msg_id", new_id("c"))
    return PostMessage(
        message_id=new_id("msg"),
        sender_key=f"{tenant}/shop",
        sender_name="Shop",
        content=content,
        created_at=1_767_323_045_678,
        recipient_keys=tuple(f"{tenant}/{user}" for user in users),
        **more,
    )


def seen(person: Person) -> list[str]:
    return [message["content"] for message in person.of("notification")]


def numbers(person: Person) -> list[int]:
    types = ("notification", "notification_updated", "notification_removed", "inbox_read")
    return [f["data"]["change_seq"] for f in person.wire.frames() if f["type"] in types]


class Watch:
    """What a node publishes of a kind, and to whom; with `lose` it is lost on the way."""

    def __init__(self, node: FullNode, kind: str, *, lose: bool = False) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.lose = lose
        publish = node.bus.publish

        def watched(node_id: str, envelope: dict[str, Any]) -> None:
            if envelope["kind"] == kind:
                self.sent.append((node_id, envelope))
            if envelope["kind"] != kind or not self.lose:
                publish(node_id, envelope)

        node.bus.publish = watched


async def test_a_message_to_several_reaches_all_their_devices_on_both_nodes_and_nobody_else(
    pair: Pair,
) -> None:
    ada, ada_too = await pair.one.person("ada"), await pair.two.person("ada")
    bob, eve = await pair.two.person("bob"), await pair.two.person("eve")
    session = await pair.two.person("ada", only="default/room")
    await pair.two.bus.settled()
    await pair.one.do(post("ada", "bob", "nobody"))
    await pair.two.do(post("ada", content="More"))
    await until(lambda: len(seen(ada)) + len(seen(ada_too)) == 4 and seen(bob))
    assert seen(ada) == seen(ada_too) == ["News", "More"]
    assert seen(eve) == seen(session) == []
    # Another tenant's user of the same name is another one.
    await pair.one.do(post("ada", tenant="acme"))
    assert numbers(ada) == [1, 2]


async def test_what_is_read_on_one_device_is_read_on_the_one_on_the_other_node(pair: Pair) -> None:
    ada, ada_too = await pair.one.person("ada"), await pair.two.person("ada")
    await pair.one.bus.settled()
    for content in ("one", "two", "three"):
        await pair.two.do(post("ada", content=content))
    await until(lambda: len(seen(ada)) == 3)
    second = ada.of("notification")[1]["id"]
    ada.say("mark_read", conversation_id=None, message_ids=[second])
    await until(lambda: ada_too.of("notification_updated"))
    (updated,) = ada_too.of("notification_updated")
    assert (updated["id"], updated["is_read"], updated["change_seq"]) == (second, True, 4)
    await until(lambda: ada_too.of("unread_update"))
    assert ada_too.of("unread_update")[-1]["unread"] == 2
    assert ada_too.of("unread_update")[-1]["conversation_id"] is None
    ada_too.say("mark_read", conversation_id=None, seq=9)
    await until(lambda: ada.of("inbox_read") and ada_too.of("inbox_read"))
    assert numbers(ada) == numbers(ada_too) == [1, 2, 3, 4, 5]
    assert ada.of("message_status_update") == []


async def test_ten_thousand_recipients_cost_one_publish_a_node(pair: Pair) -> None:
    people = [f"user{n}" for n in range(10_000)]
    for user_id in people[:400]:
        Person(pair.two, user_id)  # connected, which is all that presence asks
    last = await pair.two.person(people[-1])
    first = await pair.one.person(people[0])
    await pair.two.bus.settled()
    watch = Watch(pair.one, "post")
    before = pair.one.counters.bus_envelopes
    await pair.one.do(post(*people, content="x" * 60_000))
    await until(lambda: seen(last) and seen(first))
    ((node_id, envelope),) = watch.sent
    assert node_id == "node_2"
    assert len(envelope["numbers"]) == 401
    await pair.one.bus.settled()
    if pair.redis:
        # Besides what nodes say of themselves all the time.
        assert pair.one.counters.bus_envelopes - before <= 50


async def test_messages_to_very_many_do_not_share_a_transaction(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_COPIES", 10)
    counters = pair.one.counters
    await pair.one.do(post("ada"))
    before = counters.archive_batches
    many = [post(*[f"user{n}" for n in range(6)]) for _ in range(4)]
    await asyncio.gather(*[pair.one.do(command) for command in (*many, post("ada"))])
    # No two of the four fit together; the last one fits with any of them.
    assert 3 <= counters.archive_batches - before <= 5
    assert counters.archive_writes >= 6


async def test_ids_that_are_too_long_for_one_envelope_go_in_a_few(pair: Pair) -> None:
    people = [f"{n:0>128}" for n in range(4_000)]
    for user_id in people[:-1]:
        pair.two.presence.enter(f"default/{user_id}", "online", {"conn": 1})
    last = await pair.two.person(people[-1])
    await pair.two.bus.settled()
    watch = Watch(pair.one, "post")
    await pair.one.do(post(*people, content="\x01" * 65_000))
    await until(lambda: seen(last))
    assert 2 <= len(watch.sent) <= 3
    assert sum(len(envelope["numbers"]) for _, envelope in watch.sent) == 4_000
    assert pair.one.counters.bus_dropped == 0
    for user_id in people[:-1]:
        pair.two.presence.leave(f"default/{user_id}")


async def test_what_the_link_loses_is_read_from_the_store(pair: Pair) -> None:
    ada = await pair.two.person("ada")
    await pair.two.bus.settled()
    watch = Watch(pair.one, "post", lose=True)
    await pair.one.do(post("ada", content="lost"))
    watch.lose = False
    await pair.one.do(post("ada", content="kept"))
    await until(lambda: len(seen(ada)) == 2)
    assert seen(ada) == ["lost", "kept"]
    watch.lose = True
    await pair.one.do(post("ada", content="lost too"))
    pair.two.router.gap()
    await until(lambda: len(seen(ada)) == 3)
    assert numbers(ada) == [1, 2, 3]


async def test_two_nodes_that_post_at_once_are_seen_in_one_order(pair: Pair) -> None:
    users = ["ada", "bob", "eve"]
    people = [await node.person(user) for node in (pair.one, pair.two) for user in users]
    await pair.one.bus.settled()
    await pair.two.bus.settled()

    async def many(node: FullNode, name: str) -> None:
        await asyncio.gather(*[node.do(post(*users, content=f"{name}{n}")) for n in range(40)])

    await asyncio.gather(many(pair.one, "a"), many(pair.two, "b"))
    await until(lambda: all(len(seen(person)) >= 80 for person in people))
    for person in people:
        assert numbers(person) == list(range(1, 81))
    for user in range(3):
        assert seen(people[user]) == seen(people[user + 3])


async def test_an_admin_watches_an_inbox_whose_owner_is_not_there(pair: Pair) -> None:
    key = inbox_key("default/bob")
    await pair.one.do(post("bob", content="before"))
    admin = await pair.two.person("root", only=key)
    assert seen(admin) == ["before"]
    await pair.two.bus.settled()
    await pair.one.do(post("bob", content="after"))
    await until(lambda: len(seen(admin)) == 2)
    for node in (pair.one, pair.two):
        assert node.presence.status("default/bob") == "offline"
        assert [user for user in node.presence.online("default") if user != "default/root"] == []
    # What it is told is all: it neither reads for the owner nor takes part in anything.
    admin.say("mark_read", conversation_id=None, seq=9)
    await until(lambda: [f for f in admin.wire.frames() if f["type"] == "error"])
    bob = await pair.one.person("bob")
    bob.say("mark_read", conversation_id=None, seq=9)
    await until(lambda: admin.of("inbox_read"))
    assert numbers(admin) == [1, 2, 3]
    pair.two.router.detach(admin.device, 1000)
    await until(lambda: not pair.one.presence.seats(key))
    assert pair.two.router.inboxes.watched == {}
    assert key not in pair.two.router.sequencers
