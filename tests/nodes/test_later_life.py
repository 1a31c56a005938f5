"""A phone that was away while everything happened to messages ends as the laptop that stayed."""

import asyncio
import random
from typing import Any

import pytest

from db.link import Link
from tests.support.client import Client
from tests.support.replica import Replica
from tests.support.tables import holding

ROOMS = [f"room{number}" for number in range(12)]
FAST = {"ANMEI_LIMIT_FRAMES_PER_SECOND": "0"}


class Device(Replica):
    """A replica that is fed by a client, one connection after the other."""

    async def come(self, client: Client, complete: dict[str, Any]) -> None:
        self._client, self._taken = client, 0
        self.begin(complete["conversations"])
        self.follow()
        self.end(complete["conversations"])

    def follow(self) -> None:
        for event in self._client.events[self._taken :]:
            self.take(event.type, event.data)
        self._taken = len(self._client.events)

    async def reached(self, heads: dict[str, int]) -> None:
        async with asyncio.timeout(50):
            while any(self.positions[room] < head for room, head in heads.items()):
                await self._client.ping()
                self.follow()


async def meanwhile(alice: Client, bob: Client, chance: random.Random) -> dict[str, int]:
    """300 messages, 20 edits, 5 recalls and 40 reactions in 12 conversations, by two people on
    two nodes at once; the last number of each conversation."""
    heads = dict.fromkeys(ROOMS, 0)

    async def done(who: Client, type: str, **data: Any) -> dict[str, Any]:
        ack = await who.request(type, data)
        heads[ack["conversation_id"]] = max(heads[ack["conversation_id"]], ack["change_seq"])
        return ack

    async def say(number: int) -> tuple[Client, str]:
        who = (alice, bob)[number % 2]
        text = f"said {number}" + (" zanzibar" if number % 60 == 0 else "")
        ack = await done(
            who,
            "send_message",
            conversation_id=ROOMS[number % 12],
            content=text,
            client_msg_id=f"c{number}",
        )
        return who, ack["message_id"]

    sent = await asyncio.gather(*(say(number) for number in range(300)))
    secrets, others = sent[::60], [one for number, one in enumerate(sent) if number % 60]
    later = [done(who, "recall_message", message_id=id) for who, id in secrets]
    later += [
        done(who, "edit_message", message_id=id, content=f"edited {number}")
        for number, (who, id) in enumerate(chance.sample(others, 20))
    ]
    later += [
        done((alice, bob)[number % 2], "react", message_id=id, emoji="👍👎"[number % 3 % 2])
        for number, (_, id) in enumerate(chance.sample(others, 40))
    ]
    chance.shuffle(later)
    await asyncio.gather(*later)
    return heads


@pytest.mark.gen_test(timeout=110)
async def test_a_phone_that_comes_back_on_another_node_holds_what_the_laptop_holds(
    postgres_url, redis_server, start, make_room, connect
):
    shared = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_server.url,
        "ANMEI_SECRET": "shared" * 8,
        "JWT_SECRET": "tokens" * 8,
        **FAST,
    }
    one, two = await start(shared), await start(shared)
    for room in ROOMS:
        await make_room(one, "alice", "bob", "carol", id=room)
    alice, bob = await connect(one, "alice"), await connect(two, "bob")
    laptop, phone = Device(), Device()
    for device in (laptop, phone):
        for room in ROOMS:
            device.know(room)
    laptop_client = await connect(two, "carol", device_id="laptop", resume=True)
    await laptop.come(laptop_client, await laptop_client.sync(laptop.positions))
    phone_client = await connect(one, "carol", device_id="phone", resume=True)
    await phone.come(phone_client, await phone_client.sync(phone.positions))
    early = await alice.send_message(ROOMS[0], "before")
    await phone.reached({ROOMS[0]: early["seq"]})
    await phone_client.abort()

    heads = await meanwhile(alice, bob, random.Random(7))
    await alice.request("edit_message", {"message_id": early["message_id"], "content": "after"})
    heads[ROOMS[0]] += 1

    back = await connect(two, "carol", device_id="phone", resume=True)
    await phone.come(back, await back.sync(phone.positions))
    await laptop.reached(heads)
    assert (laptop.resets, phone.resets) == (0, 0)
    assert phone.positions == laptop.positions == heads
    assert phone.messages == laptop.messages
    assert len(phone.messages) == 301
    # The phone was told of each message once, however often it had changed.
    told = [event.data["id"] for event in back.events if event.type == "new_message"]
    assert (len(told), len(set(told))) == (300, 300)
    updated = [event.data for event in back.events if event.type == "message_updated"]
    assert [message["content"] for message in updated] == ["after"]

    states = phone.messages.values()
    assert sum(message["recalled_at"] is not None for message in states) == 5
    assert sum(message["edited_at"] is not None for message in states) == 21
    assert sum(bool(message["reactions"]) for message in states) == 40
    link = Link(postgres_url, 5_000)
    assert holding(link.database, "zanzibar") == set()
    assert ("messages", "content") in holding(link.database, "said 1")
    link.drop()
