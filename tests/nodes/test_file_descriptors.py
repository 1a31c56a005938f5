"""A node that may open no more files."""

import asyncio
import resource

import pytest

from tests.support.raw_socket import RawSocket


@pytest.mark.gen_test(timeout=100)
async def test_without_file_descriptors_those_who_are_in_stay_served(
    small_node, make_room, connect, backend
):
    """P4 (row 38; I8): nobody new can be taken, the others notice nothing, the loop does not spin
    and the log is not flooded; and when there is room again newcomers are taken."""
    small_node.expects_log(r"WARNING anmei\.listener newcomers wait: Too many open files")
    room = await make_room(small_node, "alice", "bob")
    alice, bob = await connect(small_node, "alice"), await connect(small_node, "bob")
    _, hard = resource.prlimit(small_node.pid, resource.RLIMIT_NOFILE)
    # One more than are open, and the files are gone.
    few = small_node.child.open_files() + 1
    resource.prlimit(small_node.pid, resource.RLIMIT_NOFILE, (few, hard))
    waiting = [await RawSocket.dial(small_node.port) for _ in range(20)]
    cpu, lines = small_node.cpu(), len(small_node.child.lines)
    for number in range(20):
        await alice.send_message(room, f"m{number}")
        await bob.expect("new_message", content=f"m{number}")
        await asyncio.sleep(0.1)
    assert small_node.cpu() - cpu < 1.0, "the loop spins over what it cannot take"
    assert len(small_node.child.lines) - lines < 20, "the log is flooded"
    resource.prlimit(small_node.pid, resource.RLIMIT_NOFILE, (hard, hard))
    for raw in waiting:
        await raw.close()
    late = await connect(small_node, "bob")
    assert [head["last_seq"] for head in late.established["conversations"]] == [21]
