"""Receipts: who is told that somebody received or read something, and how often."""

import asyncio
from collections.abc import Callable
from typing import Any

from anmei.commands import Mark
from anmei.ids import id_of
from anmei.inbox import is_inbox

PAUSE = 1.0  # seconds between two status updates of one reader in one conversation

#: `tell(conversation_key, user_keys, type, data)` sends an event to those users.
Tell = Callable[[str, tuple[str, ...], str, dict[str, Any]], None]


class Receipts:
    """Passes marks on: to the reader's own devices what is unread, at once; to the people whose
    messages they cover, at most once a second for each conversation and reader. Marks are
    cumulative, so those in between are merged, and the last one always goes out."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Tell) -> None:
        self._loop = loop
        self._tell = tell
        #: By (conversation, reader): the mark that waits, or None where none came since the last.
        self._resting: dict[tuple[str, str], Mark | None] = {}

    def moved(self, mark: Mark) -> None:
        if mark.unread is not None:
            inbox = is_inbox(mark.conversation_key)
            # Counted up to `last_seq`: what a device holds above that comes on top.
            data = {
                "conversation_id": None if inbox else id_of(mark.conversation_key),
                "unread": mark.unread,
                "last_read_seq": mark.last_read_seq,
                "last_seq": mark.last_seq,
                "counted_to": mark.change_seq,
            }
            self._tell(mark.conversation_key, (mark.user_key,), "unread_update", data)
            if inbox:
                return  # what was read there is told by numbered events, and to nobody else
        self._show(mark)

    def _show(self, mark: Mark) -> None:
        key = (mark.conversation_key, mark.user_key)
        if key in self._resting:
            waiting = self._resting[key]
            if waiting is not None:
                mark.senders |= waiting.senders
            self._resting[key] = mark
            return
        self._resting[key] = None
        self._loop.call_later(PAUSE, self._rested, key)
        data = {
            "conversation_id": id_of(mark.conversation_key),
            "user_id": id_of(mark.user_key),
            "last_delivered_seq": mark.last_delivered_seq,
            "last_read_seq": mark.last_read_seq,
        }
        self._tell(
            mark.conversation_key, (*mark.senders, mark.user_key), "message_status_update", data
        )

    def _rested(self, key: tuple[str, str]) -> None:
        mark = self._resting.pop(key)
        if mark is not None:
            self._show(mark)
