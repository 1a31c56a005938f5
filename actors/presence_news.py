"""Presence news: who is told that somebody came, went, or shows himself differently."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from actors.presence import OFFLINE, Presence
from actors.sequencer import Sequencer
from anmei.clock import now_ms, to_wire
from anmei.event import Event
from anmei.ids import id_of, make_key

PAUSE = 1.0  # seconds between two pieces of news of one user


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
    ) -> None:
        self._presence = presence
        self._sequencers = sequencers
        self._most = most
        self._loop = loop
        #: By user key: the news that waits, or None where none came since the last.
        self._resting: dict[str, News | None] = {}
        self._gone: set[str] = set()

    def show(
        self, user_key: str, name: str | None, last_seen: int | None, keys: Collection[str]
    ) -> None:
        """The user is shown differently to the people of these conversations."""
        news = News(name, last_seen, keys)
        if user_key in self._resting:
            self._resting[user_key] = news
            return
        self._resting[user_key] = None
        self._loop.call_later(PAUSE, self._rested, user_key)
        self._send(user_key, news)

    def gone(self, user_key: str) -> None:
        """The user is on no node any more, and it is not known where he took part: whoever goes in
        one tick is looked for together, since a node that dies takes many along."""
        if not self._gone:
            self._loop.call_soon(self._show_gone)
        self._gone.add(user_key)

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

    def _show_gone(self) -> None:
        gone, self._gone = self._gone, set()
        keys: dict[str, list[str]] = {}
        for sequencer in self._sequencers.values():
            if sequencer.members is not None:
                for user_key in gone & sequencer.members:
                    keys.setdefault(user_key, []).append(sequencer.key)
        for user_key, found in keys.items():
            self.show(user_key, None, now_ms(), found)

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
            if device.attached and device.principal.key != user_key
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
