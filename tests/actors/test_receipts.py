"""Receipts: at once to oneself, at most once a second to others, and the last always arrives."""

import asyncio
from typing import Any

from actors.receipts import Receipts
from anmei.commands import Mark

ROOM, ADA, BOB, CAT = "default/room", "default/ada", "default/bob", "default/cat"


def mark(read: int, *senders: str, unread: int | None = 0) -> Mark:
    return Mark(ROOM, ADA, read, read, 9, 11, unread, frozenset(senders))


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []
        self.updated = asyncio.Event()

    def __call__(self, key: str, users: tuple[str, ...], type: str, data: dict[str, Any]) -> None:
        self.events.append((type, users, data))
        self.updated.set()

    def of(self, type: str) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
        return [(users, data) for kind, users, data in self.events if kind == type]


async def test_the_first_mark_goes_out_at_once_to_senders_and_to_oneself():
    told = Told()
    Receipts(asyncio.get_running_loop(), told).moved(mark(3, BOB))
    ((users, data),) = told.of("message_status_update")
    assert set(users) == {ADA, BOB}
    assert data["last_read_seq"] == 3
    assert told.of("unread_update")[0][0] == (ADA,)


async def test_marks_in_the_same_second_are_merged_and_the_last_one_goes_out(monkeypatch):
    monkeypatch.setattr("actors.receipts.PAUSE", 0.05)
    told = Told()
    receipts = Receipts(asyncio.get_running_loop(), told)
    receipts.moved(mark(1, BOB))
    for read, sender in ((2, BOB), (3, CAT), (4, BOB)):
        receipts.moved(mark(read, sender))
    assert len(told.of("message_status_update")) == 1
    told.updated.clear()
    await told.updated.wait()
    updates = told.of("message_status_update")
    assert len(updates) == 2
    assert set(updates[1][0]) == {ADA, BOB, CAT}
    assert updates[1][1]["last_read_seq"] == 4


async def test_unread_numbers_are_never_held_back_and_deliveries_bring_none():
    told = Told()
    receipts = Receipts(asyncio.get_running_loop(), told)
    receipts.moved(mark(1, BOB, unread=4))
    receipts.moved(mark(2, BOB, unread=3))
    receipts.moved(mark(2, BOB, unread=None))
    assert [data["unread"] for _, data in told.of("unread_update")] == [4, 3]
    data = told.of("unread_update")[0][1]
    assert (data["last_seq"], data["counted_to"]) == (9, 11)
