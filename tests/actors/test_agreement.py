"""What a user sets on one device is seen on the others: on any node, and after having been away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from db.store import Store
from tests.actors.full_nodes import FullNode, Pair, Person
from tests.actors.redis_nodes import until


@pytest.fixture
def two(io_loop: IOLoop, tmp_path: Path) -> Iterator[Pair]:
    nodes = Pair()
    url = f"sqlite:///{tmp_path}/anmei.db"
    stores = [Store(url, readers=2, timeout_ms=30_000) for _ in range(2)]
    io_loop.run_sync(lambda: nodes.start(stores, ""))
    yield nodes
    io_loop.run_sync(nodes.stop)


def preferences(person: Person) -> list[dict[str, Any]]:
    """What a device was told, as a client takes it: what is found in the store as its word comes
    is told twice, and taken once."""
    told = [one for data in person.of("preference_update") for one in data["preferences"]]
    return [one for number, one in enumerate(told) if one not in told[:number]]


async def resumed(node: FullNode, user_id: str, place: int) -> Person:
    """A device that comes back and says what it holds."""
    person = await Person(node, user_id).resuming()
    person.say("sync", positions={}, preferences=place)
    await until(lambda: person.of("sync_complete"))
    return person


async def test_a_mute_a_pin_and_a_draft_appear_on_the_users_devices_and_on_no_others(two: Pair):
    here, there = await two.one.person("ada"), await two.two.person("ada")
    other = await two.two.person("bob")
    here.say("mute_conversation", conversation_id="room", seconds=60)
    there.say("pin_conversation", conversation_id="room")
    await until(lambda: len(preferences(here)) == len(preferences(there)) == 2)
    here.say("save_draft", conversation_id="room", text="half a sent")
    await until(lambda: len(preferences(here)) == len(preferences(there)) == 3)
    (ack,) = [ack for ack in here.of("ack") if ack["draft"]]
    for person in (here, there):
        latest = max(preferences(person), key=lambda one: one["seq"])
        assert latest == ack
        assert latest["muted"]
        assert latest["pinned_at"]
        assert latest["draft"] == "half a sent"
    assert preferences(other) == []


async def test_a_device_that_was_away_is_told_what_changed_and_nothing_else(two: Pair):
    here = await two.one.person("ada")
    here.say("pin_conversation", conversation_id="room")
    await until(lambda: preferences(here))
    fresh = await two.two.person("ada")
    assert preferences(fresh) == preferences(here)
    place = fresh.of("sync_complete")[0]["preferences"]
    assert place == preferences(fresh)[0]["seq"]
    here.say("pin_conversation", conversation_id="room", on=False)
    await until(lambda: len(preferences(here)) == len(preferences(fresh)) == 2)
    back = await resumed(two.two, "ada", place)
    assert preferences(back) == preferences(here)[1:]
    current = await resumed(two.two, "ada", back.of("sync_complete")[0]["preferences"])
    assert preferences(current) == []
    ahead = await resumed(two.two, "ada", place + 9)
    assert ahead.of("sync_complete")[0]["preferences"] == place + 1


async def test_what_another_node_could_not_tell_is_found_when_the_gap_is_known(two: Pair):
    here, there = await two.one.person("ada"), await two.two.person("ada")
    two.two.bus.listen(lambda envelope: None, lambda: None)  # hears nothing
    here.say("pin_conversation", conversation_id="room")
    await until(lambda: preferences(here))
    assert preferences(there) == []
    two.two.router.gap()
    await until(lambda: preferences(there) == preferences(here))


@pytest.mark.parametrize("where", ["one", "two"])
async def test_what_was_told_in_its_turn_is_not_told_again_when_a_device_comes(two: Pair, where):
    here, there = await two.one.person("ada"), await two.two.person("ada")
    here.say("pin_conversation", conversation_id="room")
    await until(lambda: preferences(here) and preferences(there))
    there.say("mute_conversation", conversation_id="room")
    await until(lambda: len(preferences(here)) == len(preferences(there)) == 2)
    await getattr(two, where).person("ada")
    for person in (here, there):
        assert len(person.of("preference_update")) == 2


async def test_a_status_holds_on_all_nodes_and_for_who_comes_back(two: Pair):
    bob = await two.one.person("bob")
    here, there = await two.one.person("ada"), await two.two.person("ada")
    here.say("set_status", status="dnd")
    await until(lambda: there.of("user_status_update") and here.of("user_status_update"))
    assert there.of("user_status_update")[-1]["status"] == "dnd"
    await until(lambda: two.one.presence.status("default/ada") == "dnd")
    await until(lambda: bob.of("user_status_update")[-1:] and here.of("ack"))
    await until(lambda: bob.of("user_status_update")[-1]["status"] == "dnd")
    for person in (here, there):
        person.node.router.detach(person.device, 1000)
    await until(lambda: two.one.presence.status("default/ada") == "offline")
    back = await two.two.person("ada")
    assert back.of("connection_established")[0]["status"] == "dnd"
    assert two.one.presence.status("default/ada") == "dnd"
    await until(lambda: bob.of("user_status_update")[-1]["status"] == "dnd")


async def test_of_two_statuses_that_cross_the_later_one_stays_everywhere(two: Pair):
    here, there = await two.one.person("ada"), await two.two.person("ada")
    agreements = [node.router.agreement for node in (two.one, two.two)]
    for agreement, order in zip(agreements, ((1, 2), (2, 1)), strict=True):
        for at in order:
            agreement.take_status("default/ada", ("away", "busy")[at - 1], at)
    assert (here.user.status, there.user.status) == ("busy", "busy")


async def test_a_status_that_was_set_while_an_older_one_was_read_stays(two: Pair):
    person = Person(two.two, "ada")
    agreement = two.two.router.agreement
    agreement.take_status("default/ada", "away", 5)
    agreement.restore_status(person.device, "busy")
    assert person.user.status == two.one.presence.status("default/ada") == "away"
