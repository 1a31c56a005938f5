"""The mirror: what other programs of the application read in Redis about messages.

    unread_count:user:{user_id}            what `GET /api/v1/unread` answers
    messages:user:{user_id}                the newest messages that the user has not read
    message_delivery_status:{message_id}   how far a message has come
    sync_status:{user_id}                  when a device of the user was last brought up to date

Nothing inside looks at them, and nothing waits for them: they are written beside the path of a
message, a few times a second, all together. What a user has not read is there for a minute from
when somebody wanted to know; what changes it takes it away at once and puts it back anew.

Whoever commits a change does not know who is in Redis, unless he is told before: so a user is
*announced* to all nodes, and only when they all know is the store read. A change that was committed
before is in what is read; one that is committed later takes it away. It does so twice, a second
apart, since the first time may come while what was read is still on its way.
"""

import asyncio
import logging
from collections.abc import Iterable
from itertools import islice
from typing import Any

from actors.bus import Bus, Envelope
from actors.device import Device
from actors.link_redis import RedisDown, RedisLink
from actors.online_mirror import member_of
from actors.relay import Relay
from anmei.clock import now_ms, to_wire
from anmei.codec import encode
from anmei.commands import Outcome
from anmei.errors import AnmeiError
from anmei.inbox import is_inbox
from db import queries
from db.errors import StoreUnavailable
from db.store import Store

KIND, GONE = "mirrored", "unmirrored"
TICK = 0.25  # seconds between two rounds
UNREAD_TTL = 60  # seconds
STATUS_TTL = 300
SYNC_TTL = 86_400
LATE = 0.5  # seconds after which what was read may not be written any more
AGAIN = 1.0  # seconds after which what was taken away is taken away once more
SETTLE = 2.0  # seconds in which the other nodes say that they know
MOST_FILLED = 25  # users whose unread is written in a round
MOST_STATUSES = 10  # conversations whose last messages are written in a round
MOST_TOLD = 500  # users in one word about whom another node may want to know
MOST_WAITING = 10_000  # of each kind; what finds no room is left to expire
SHOWN = 20  # messages of a user, and of a conversation

log = logging.getLogger("anmei.mirror")

Command = tuple[Any, ...]


class RedisMirror:
    """One node's part of it."""

    def __init__(self, link: RedisLink, bus: Bus, store: Store) -> None:
        self._link = link
        self._bus = bus
        self._store = store
        self._loop = asyncio.get_running_loop()
        #: Users who may be in Redis, on whichever node's word, and until when (loop time).
        self._known: dict[str, float] = {}
        #: Until then everybody may be: what was announced before this node could hear it.
        self._anybody = self._loop.time() + UNREAD_TTL
        #: Until when a user's unread is wanted.
        self._demand: dict[str, float] = {}
        self._due: dict[str, None] = {}
        self._stale: set[str] = set()
        #: Users who are taken away once more, and when.
        self._twice: list[tuple[float, set[str]]] = []
        self._conversations: dict[str, None] = {}
        self._messages: dict[str, None] = {}
        self._syncs: dict[str, bytes] = {}
        self._down = False

    def attend(self, relay: Relay) -> None:
        """From now on it is heard whom other nodes put into Redis."""
        relay.hear(KIND, self._announced)
        relay.hear(GONE, self._gone_elsewhere)

    # What happens

    def committed(self, outcome: Outcome) -> None:
        """Something was committed here."""
        for change in outcome.changes:
            self._touch(change.audience.members.union(change.removed))
            if change.type == "new_message":
                self._note(self._conversations, change.conversation_key)
            elif change.type == "notification_updated":
                self._note(self._messages, change.data["id"])
        mark = outcome.mark
        if mark is not None:
            self._touch((mark.user_key,))
            if not is_inbox(mark.conversation_key):
                self._note(self._conversations, mark.conversation_key)
        if outcome.post is not None:
            self._touch(outcome.post.numbers.keys())
            self._note(self._messages, outcome.post.message["id"])

    def wanted(self, user_key: str) -> None:
        """Somebody wants to know what this user has not read."""
        if user_key in self._demand or len(self._demand) < MOST_WAITING:
            self._demand[user_key] = self._loop.time() + UNREAD_TTL
            self._note(self._due, user_key)

    def synced(self, device: Device, events: int) -> None:
        """A device has been brought up to date, by so many events."""
        user_key = device.principal.key
        if user_key in self._syncs or len(self._syncs) < MOST_WAITING:
            line = {"device_id": device.device_id, "synced_at": to_wire(now_ms()), "events": events}
            self._syncs[user_key] = encode(line)

    def unsure(self) -> None:
        """What other nodes announced may have been lost."""
        self._anybody = self._loop.time() + UNREAD_TTL

    def _announced(self, envelope: Envelope) -> None:
        until = self._loop.time() + UNREAD_TTL + AGAIN
        if len(self._known) + len(envelope["users"]) > MOST_WAITING:
            self.unsure()
        else:
            self._known.update(dict.fromkeys(envelope["users"], until))

    def _gone_elsewhere(self, envelope: Envelope) -> None:
        """Another node has taken these users away; whom somebody here wants is put back."""
        for user_key in self._demand.keys() & envelope["users"]:
            self._note(self._due, user_key)

    def _touch(self, user_keys: Iterable[str]) -> None:
        if self._loop.time() < self._anybody:
            if len(self._stale) < MOST_WAITING:
                self._stale.update(user_keys)
        elif self._known:
            self._stale.update(self._known.keys() & user_keys)

    def _note(self, where: dict[str, None], key: str) -> None:
        if len(where) < MOST_WAITING:
            where[key] = None

    # What is written

    async def run(self) -> None:
        """Writes until it is cancelled."""
        while True:
            await asyncio.sleep(TICK)
            try:
                await self.round()
                self._down = False
            except (RedisDown, StoreUnavailable, AnmeiError, TimeoutError) as error:
                if not self._down:
                    log.info("what others read in Redis is not written: %s", error)
                self._down = True

    async def round(self) -> None:
        """Everything that is due now."""
        await self._take_away()
        await self._fill()
        await self._write_statuses()
        syncs, self._syncs = self._syncs, {}
        await self._run(
            [
                ("SET", f"sync_status:{member_of(key)}", line, "EX", SYNC_TTL)
                for key, line in syncs.items()
            ]
        )

    async def _take_away(self) -> None:
        now = self._loop.time()
        for key in [key for key, until in self._known.items() if until < now]:
            del self._known[key]
        for key in [key for key, until in self._demand.items() if until < now]:
            del self._demand[key]
        first, self._stale = self._stale, set()
        gone = set(first)
        while self._twice and self._twice[0][0] <= now:
            gone |= self._twice.pop(0)[1]
        if not gone:
            return
        try:
            await self._run([("UNLINK", key) for user in gone for key in _unread_keys(user)])
        except RedisDown:
            # Another time, as far as there is room.
            self._stale.update(islice(gone, max(0, MOST_WAITING - len(self._stale))))
            raise
        if first:
            self._twice.append((now + AGAIN, first))
        self._gone_elsewhere({"users": gone})
        if self._bus.shared:
            self._bus.publish_all({"kind": GONE, "users": list(gone)[:MOST_TOLD]})

    async def _fill(self) -> None:
        users = list(self._due)[:MOST_FILLED]
        if not users:
            return
        for user_key in users:
            del self._due[user_key]
        self._announced({"users": users})
        if self._bus.shared:
            self._bus.publish_all({"kind": KIND, "users": users})
            await asyncio.wait_for(self._bus.settled(), SETTLE)
        for user_key in users:
            begun = self._loop.time()
            unread, newest = await asyncio.wrap_future(
                self._store.read(queries.unread_and_newest, user_key, SHOWN)
            )
            if user_key in self._stale or self._loop.time() - begun > LATE:
                self._note(self._due, user_key)
                continue
            count_key, messages_key = _unread_keys(user_key)
            await self._run(
                [
                    ("SET", count_key, encode(unread), "EX", UNREAD_TTL),
                    ("SET", messages_key, encode(newest), "EX", UNREAD_TTL),
                ]
            )
            if self._loop.time() - begun > LATE:
                self._stale.add(user_key)

    async def _write_statuses(self) -> None:
        keys, ids = list(self._conversations)[:MOST_STATUSES], list(self._messages)[:SHOWN]
        for key in keys:
            del self._conversations[key]
        for id in ids:
            del self._messages[id]
        if not keys and not ids:
            return
        found = await asyncio.wrap_future(
            self._store.read(queries.recent_statuses, keys, ids, SHOWN)
        )
        await self._run(
            [
                ("SET", f"message_delivery_status:{id}", encode(line), "EX", STATUS_TTL)
                for id, line in found.items()
            ]
        )

    async def _run(self, commands: list[Command]) -> None:
        if commands:
            await self._link.run(commands)


def _unread_keys(user_key: str) -> tuple[str, str]:
    member = member_of(user_key)
    return f"unread_count:user:{member}", f"messages:user:{member}"
