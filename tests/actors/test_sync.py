"""What a device is told that asks, on a live connection, for what it may have missed."""

import asyncio

from anmei.commands import Change, SendMessage
from anmei.ids import new_id
from tests.actors.full_nodes import ROOM, FullNode, Pair
from tests.actors.redis_nodes import until


async def committed(node: FullNode) -> Change:
    """A message that has not gone out anywhere yet."""
    command = SendMessage(ROOM, "default/bob", "Bob", new_id("msg"), new_id("c"), "hello", 1)
    (outcome,) = await asyncio.wrap_future(node.store.write([command]))
    return outcome.changes[0]


async def test_what_goes_out_right_behind_the_answer_comes_once_and_is_counted(pair: Pair):
    ada = await pair.one.person("ada")
    sequencer = pair.one.router.sequencers[ROOM]
    place = sequencer.mark
    first, second = await committed(pair.one), await committed(pair.one)
    sequencer.offer(first)
    ada.say("sync", positions={"room": place})
    sequencer.offer(second)
    await until(lambda: len(ada.of("sync_complete")) == 2)
    told = ada.of("sync_complete")[-1]["conversations"]["room"]
    frames = ada.wire.frames()
    answer = max(number for number, frame in enumerate(frames) if frame["type"] == "ack")
    behind = [f["data"]["change_seq"] for f in frames[answer:] if f["type"] == "new_message"]
    assert behind == [place + 1, place + 2]
    assert told == {"from": place, "to": place + 2, "count": 2, "reset": False}
