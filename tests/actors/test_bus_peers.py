"""The other nodes as the bus knows them, without any bus."""

import asyncio

import pytest

from actors.bus_peers import Peers


async def test_whoever_gives_up_waiting_leaves_nothing_behind():
    loop = asyncio.get_running_loop()
    peers = Peers(loop)
    peers.hear("node_2")
    number: asyncio.Future[int] = loop.create_future()
    number.set_result(1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(peers.wait(number), 0.01)
    assert not peers._waiting


async def test_whoever_waits_is_let_go_when_all_have_handled_it_or_are_dead():
    loop = asyncio.get_running_loop()
    peers = Peers(loop)
    for node_id in ("node_2", "node_3"):
        peers.hear(node_id)
    number: asyncio.Future[int] = loop.create_future()
    waiting = asyncio.create_task(peers.wait(number))
    number.set_result(4)
    peers.handled("node_2", 4)
    await asyncio.sleep(0)
    assert not waiting.done()
    peers.forget("node_3")
    await asyncio.wait_for(waiting, 1)
    assert not peers._waiting
