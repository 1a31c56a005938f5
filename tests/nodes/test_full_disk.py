"""A disk that is full."""

import asyncio
import contextlib
import resource

import pytest

from tests.support.client import RequestFailed
from tests.support.regulars import read_history

REFUSALS = (
    r"WARNING anmei\.archive the store (cannot be reached|is back)",
    r"WARNING anmei\.db the database is unavailable",
)


@pytest.mark.gen_test(timeout=100)
async def test_on_a_full_disk_writes_are_refused_reads_go_on_and_room_heals_it(
    small_node, make_room, connect
):
    """P1, P6 (row 28): refused with a retryable error, nothing acknowledged is lost, and the
    service resumes by itself. No file of the server may grow any more: to SQLite that is what a
    full disk is, and it needs neither root nor a mount."""
    for pattern in REFUSALS:
        small_node.expects_log(pattern)
    room = await make_room(small_node, "alice", "bob")
    alice, bob = await connect(small_node, "alice"), await connect(small_node, "bob")
    kept = {(await alice.send_message(room, "before"))["message_id"]}
    largest = max(path.stat().st_size for path in small_node.data_dir.iterdir())
    _, hard = resource.prlimit(small_node.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(small_node.pid, resource.RLIMIT_FSIZE, (largest + 200_000, hard))
    for number in range(100):
        try:
            ack = await alice.send_message(room, "x" * 20_000, f"m-{number}")
        except RequestFailed as refusal:
            refused = refusal
            break
        kept.add(ack["message_id"])
    else:
        pytest.fail("the disk was never full")
    assert (refused.code, refused.retryable) == ("unavailable", True)
    assert {message["id"] for message in await read_history(bob, room)} == kept
    await alice.request("typing", {"conversation_id": room, "is_typing": True})
    await bob.expect("typing", user_id="alice")
    resource.prlimit(small_node.pid, resource.RLIMIT_FSIZE, (hard, hard))
    async with asyncio.timeout(50):
        while True:
            with contextlib.suppress(RequestFailed):
                ack = await alice.send_message(room, "x" * 20_000, f"m-{number}")
                break
            await asyncio.sleep(0.05)
    kept.add(ack["message_id"])
    await bob.expect("new_message", id=ack["message_id"])
    assert {message["id"] for message in await read_history(bob, room)} == kept
    assert bob.gaps(room) == []
