"""Somebody with very much: 2,000 conversations, 100,000 unread messages."""

import asyncio
import time
from typing import Any

import pytest

from tests.support.much import CONVERSATIONS, UNREAD, build


@pytest.mark.gen_test(timeout=110)
async def test_who_has_very_much_is_there_and_synced_within_a_second(
    database_url: str, start: Any, connect: Any
) -> None:
    await asyncio.to_thread(build, database_url, 2, UNREAD)
    node = await start({"DATABASE_URL": database_url})
    rooms = {f"room{n}": 3 for n in range(1, CONVERSATIONS + 1)}
    behind = rooms | {f"room{n}": 1 for n in range(1, 51)}
    for positions, inbox, wanted in (
        ({}, None, {"from": 0, "to": UNREAD, "count": 500, "reset": True}),
        (behind, UNREAD - 400, {"from": UNREAD - 400, "to": UNREAD, "count": 400, "reset": False}),
        (rooms, 5, {"from": UNREAD - 50, "to": UNREAD, "count": 50, "reset": True}),
    ):
        before, begun = node.cpu(), time.monotonic()
        ada = await connect(node, "ada", resume=True)
        assert ada.established["inbox"] == {"seq": UNREAD, "unread": UNREAD}
        done = await ada.sync(positions, inbox=inbox)
        used, took = node.cpu() - before, time.monotonic() - begun
        assert done["inbox"] == wanted
        assert len(done["conversations"]) == len(positions)
        assert len(ada.of_type("new_message")) == (100 if positions is behind else 0)
        # A machine that has other work to do may take several times as long.
        assert used < 2
        assert took < 20
