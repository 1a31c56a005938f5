"""Presence news: who is told that somebody came, went, or shows himself differently."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from actors.presence import OFFLINE, Presence
from actors.sequencer import Sequencer
from actors.supervisor import Supervisor
from anmei.clock import now_ms, to_wire
from anmei.errors import AnmeiError
from anmei.event import Event
from anmei.ids import id_of, make_key
from db import queries
from db.errors import StoreUnavailable
from db.store import Store

PAUSE = 1.0  # seconds between two pieces of news of one user
WORD = 0.2  # seconds that a node which still lives takes at most to say who has left it
AGAIN = 3.0  # seconds before the store is asked again
PART = 20  # users whose conversations are read in one go
MOST_GHOSTS = 10_000  # users of whom it is remembered that nobody said they left

log = logging.getLogger("anmei.presence")


class News(NamedTuple):
    """What there is to say of a user; how he is shown is looked up when it is said."""

    name: str | None
    #: When the user was last here, in ms since 1970.
    last_seen: int | None
    #: Keys of the conversations he takes part in.
    keys: Collection[str]


class PresenceNews:
    """Tells the people here who share a conversation of at most `most` members with a user.

    Larger ones are told nothing: a thousand people who come back at once would be a million
    events, and nobody watches who is online in a crowd. Of one user there is news at most once a
    second, the first at once and the last always.
    """

    def __init__(
        self,
        presence: Presence,
        sequencers: Mapping[str, Sequencer],
        most: int,
        loop: asyncio.AbstractEventLoop,
        store: Store,
        supervisor: Supervisor,
    ) -> None:
        self._presence = presence
        self._sequencers = sequencers
        self._most = most
        self._loop = loop
        self._store = store
        self._supervisor = supervisor
        #: By user key: the news that waits, or None where none came since the last.
        self._resting: dict[str, News | None] = {}
        #: Users who are on no node: those whose node has said so, and those of whom that is waited
        #: for.
        self._left: set[str] = set()
        self._gone: set[str] = set()
        #: Users who are gone and whose node did not say so, and to whom they were shown as gone:
        #: the node may come back with them on it.
        self._ghosts: dict[str, list[str]] = {}

    def show(
        self, user_key: str, name: str | None, last_seen: int | None, keys: Collection[str]
    ) -> None:
        """The user is shown differently to the people of these conversations."""
        self._ghosts.pop(user_key, None)
        news = News(name, last_seen, keys)
        if user_key in self._resting:
            self._resting[user_key] = news
            return
        self._resting[user_key] = None
        self._loop.call_later(PAUSE, self._rested, user_key)
        self._send(user_key, news)

    def said(self, user_key: str, name: str, last_seen: int | None, keys: Collection[str]) -> None:
        """The same, said by another node, where the user is or was."""
        if last_seen is not None and user_key not in self._gone:
            self._left.add(user_key)
        self._gone.discard(user_key)
        self.show(user_key, name, last_seen, keys)

    def gone(self, user_key: str) -> None:
        """The user is on no node any more. Where his node lives it says so itself; whoever is left
        of a node that died is looked for together, since it takes many along."""
        if user_key in self._left:
            self._left.discard(user_key)
            return
        if not self._gone:
            self._loop.call_later(WORD, self._show_gone)
        self._gone.add(user_key)

    def back(self, user_key: str) -> None:
        """The user has a seat on another node. One who was taken for gone is shown again: a node
        that was frozen, or could not reach Redis, is back and has nothing new to say."""
        self._gone.discard(user_key)
        self._left.discard(user_key)
        keys = self._ghosts.pop(user_key, None)
        if keys is not None:
            self._send(user_key, News(None, None, keys))

    def known(self, tenant: str, heads: Iterable[dict[str, Any]]) -> dict[str, str]:
        """Who is online now, of those whom the heads of small conversations name, by user id."""
        shown = {}
        for head in heads:
            if head["participant_count"] <= self._most:
                for participant in head["participants"]:
                    user_id = participant["user_id"]
                    if user_id not in shown:
                        status = self._presence.status(make_key(tenant, user_id))
                        if status != OFFLINE:
                            shown[user_id] = status
        return shown

    def online(self, user_keys: Iterable[str]) -> dict[str, str]:
        """How those of the users are shown who are online, by user id."""
        statuses = {id_of(key): self._presence.status(key) for key in user_keys}
        return {id: status for id, status in statuses.items() if status != OFFLINE}

    def _show_gone(self) -> None:
        """Shows those as gone of whom nothing was heard meanwhile."""
        now = now_ms()
        gone = {key for key in self._gone if self._presence.status(key) == OFFLINE}
        self._gone = set()
        if not gone:
            return
        keys: dict[str, list[str]] = {user_key: [] for user_key in gone}
        unknown = False
        for sequencer in self._sequencers.values():
            if sequencer.members is None:
                unknown = True  # nothing was said there since anybody here came
            else:
                for user_key in gone & sequencer.members:
                    keys[user_key].append(sequencer.key)
        for user_key, found in keys.items():
            self._show_ghost(user_key, now, found)
        if unknown:
            self._supervisor.spawn("presence gone", partial(self._look_up, sorted(gone), now))

    async def _look_up(self, gone: list[str], last_seen: int) -> None:
        """Reads where they take part, and shows them as gone where only the store knows that."""
        for start in range(0, len(gone), PART):
            part = gone[start : start + PART]
            try:
                found = await asyncio.wrap_future(
                    self._store.read(queries.small_conversations, part, self._most)
                )
            except (StoreUnavailable, AnmeiError) as error:
                log.warning("who is gone could not be shown to all: %s", error)
                await asyncio.sleep(AGAIN)
                self._gone.update(gone[start:])
                self._loop.call_soon(self._show_gone)
                return
            for user_key, keys in found.items():
                if self._presence.status(user_key) == OFFLINE:
                    self._show_ghost(
                        user_key,
                        last_seen,
                        [
                            key
                            for key in keys
                            if key in self._sequencers and self._sequencers[key].members is None
                        ],
                    )

    def _show_ghost(self, user_key: str, last_seen: int, keys: list[str]) -> None:
        if keys:
            while len(self._ghosts) >= MOST_GHOSTS:
                del self._ghosts[next(iter(self._ghosts))]
            self._ghosts.setdefault(user_key, []).extend(keys)
            self._send(user_key, News(None, last_seen, keys))

    def _rested(self, user_key: str) -> None:
        news = self._resting.pop(user_key)
        if news is not None:
            self.show(user_key, *news)

    def _send(self, user_key: str, news: News) -> None:
        sequencers = [self._sequencers[key] for key in news.keys if key in self._sequencers]
        devices = {
            device
            for sequencer in sequencers
            if sequencer.size <= self._most and sequencer.admits(user_key)
            for device in sequencer.devices
            if device.ready is None and device.principal.key != user_key
        }
        if not devices:
            return
        status = self._presence.status(user_key)
        gone = status == OFFLINE and news.last_seen is not None
        data = {
            "user_id": id_of(user_key),
            "name": news.name,
            "status": status,
            "last_seen_at": to_wire(news.last_seen) if gone and news.last_seen else None,
        }
        event = Event.of("user_status_update", data)
        for device in devices:
            device.push_if_room(event)
