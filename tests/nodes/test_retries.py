"""The same message sent again: the same message, however and wherever it is sent again."""

import asyncio

import pytest


@pytest.mark.gen_test(timeout=100)
async def test_a_retry_finds_its_message_after_a_restart_and_from_another_device(
    node, make_room, connect
):
    """P3: the same client_msg_id gives the same message and seq, for ever."""
    room = await make_room(node, "alice", "bob")
    phone = await connect(node, "alice", device_id="phone")
    first = await phone.send_message(room, "once", "m-1")
    await phone.send_message(room, "then", "m-2")
    assert first["duplicate"] is False
    await asyncio.to_thread(node.kill9)
    await asyncio.to_thread(node.start)
    laptop = await connect(node, "alice", device_id="laptop")
    again = await laptop.send_message(room, "once", "m-1")
    assert again == {**first, "duplicate": True}
    page = await laptop.request("history", {"conversation_id": room})
    assert [message["content"] for message in page["messages"]] == ["once", "then"]


@pytest.mark.gen_test(timeout=100)
async def test_fifty_at_once_over_both_doors_make_one_message(node, make_room, backend, connect):
    """P3: sent by several devices and over HTTP in the same moment, it is stored once."""
    room = await make_room(node, "alice", "bob")
    bob = await connect(node, "bob")
    devices = [await connect(node, "alice") for _ in range(3)]
    token = node.token("alice")
    path = f"/api/v1/conversations/{room}/messages"

    async def by_frame(number: int) -> tuple[str, int, bool]:
        ack = await devices[number % 3].send_message(room, "once", "same-key")
        return ack["message_id"], ack["seq"], not ack["duplicate"]

    async def by_http() -> tuple[str, int, bool]:
        answer = await backend(
            node,
            "POST",
            path,
            {"content": "once"},
            token=token,
            headers={"Idempotency-Key": "same-key"},
        )
        assert answer.status in (200, 201), answer
        return answer.body["id"], answer.body["seq"], answer.status == 201

    answers = await asyncio.gather(
        *(by_frame(number) for number in range(30)), *(by_http() for _ in range(20))
    )
    assert len({(id, seq) for id, seq, _ in answers}) == 1
    assert sum(new for *_, new in answers) == 1
    await bob.send_message(room, "after")
    await bob.expect("new_message", content="after")
    assert [message["content"] for message in bob.messages(room)] == ["once", "after"]


async def test_the_same_id_of_another_sender_is_another_message(small_node, make_room, connect):
    """P3: an id is the sender's own; nobody can take or learn another one's by guessing it."""
    room = await make_room(small_node, "alice", "bob")
    alice, bob = await connect(small_node, "alice"), await connect(small_node, "bob")
    first = await alice.send_message(room, "hers", "m-1")
    second = await bob.send_message(room, "his", "m-1")
    assert second["duplicate"] is False
    assert second["seq"] == first["seq"] + 1
