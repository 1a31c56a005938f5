"""Somebody who has missed very much: 50 messages in each of 2,000 conversations."""

import asyncio
import time
from typing import Any

import pytest

from tests.support.much import CONVERSATIONS, UNREAD, build

EACH = UNREAD // CONVERSATIONS
WHOLE = 2_000 // EACH  # conversations whose backlogs may be replayed


@pytest.mark.gen_test(timeout=110)
async def test_who_has_missed_very_much_is_there_and_synced_within_a_second(
    database_url: str, start: Any, connect: Any
) -> None:
    await asyncio.to_thread(build, database_url, EACH, 0)
    node = await start({"DATABASE_URL": database_url})
    rooms = [f"room{n}" for n in range(CONVERSATIONS, 0, -1)]
    last = EACH + 1
    for positions in (None, dict.fromkeys(rooms, 0)):
        before, begun = node.cpu(), time.monotonic()
        ada = await connect(node, "ada", resume=positions is not None)
        if positions is None:
            done, place = await ada.expect("sync_complete"), 1
        else:
            done, place = await ada.sync(positions), 0
        used, took = node.cpu() - before, time.monotonic() - begun
        print(f"server {used:.2f} s, wall {took:.2f} s")
        # The most recently active ones whole, of all others the last message.
        whole = {"from": place, "to": last, "count": last - place, "reset": False}
        reset = {"from": last - 1, "to": last, "count": 1, "reset": True}
        assert done["conversations"] == {
            room: whole if number < WHOLE else reset for number, room in enumerate(rooms)
        }
        assert len(ada.of_type("new_message")) == 2_000 + CONVERSATIONS - WHOLE
        assert [message["seq"] for message in ada.messages(rooms[-1])] == [last]
        # Nobody has received or read anything by that.
        for head in ada.established["conversations"]:
            assert (head["unread"], head["last_delivered_seq"], head["last_read_seq"]) == (
                EACH,
                1,
                1,
            )
        # A machine that has other work to do may take several times as long.
        assert used < 2
        assert took < 20
        await ada.close()
