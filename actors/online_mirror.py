"""Who is online, kept in Redis for readers outside: other programs of the application.

    ws:online_users           set of user ids
    online_users:{user_id}    hash: connection id -> {"connected_at", "node", "status"}
    ws:presence               channel: {"user_id", "status"}

Users of a tenant other than `default` are written as `tenant/id`. Nothing here decides anything
inside: a hash that nobody refreshes expires, and a set that is wrong is mended when its user moves.
"""

from collections.abc import Iterable
from typing import Any

from actors.link_redis import RedisDown, RedisLink
from actors.presence_table import NodesTable
from anmei.clock import to_wire
from anmei.codec import encode
from anmei.inbox import is_inbox

USERS = "ws:online_users"
CHANNEL = "ws:presence"
EXPIRY_MS = 60_000  # how long a user's hash outlives the last refresh
REFRESH = 20.0  # seconds between two refreshes
DEFAULT = "default/"
SWEEP_PART = 1_000  # users that are looked at in one go


class OnlineMirror:
    """Writes one node's users, as one pipeline for however many have changed."""

    def __init__(self, node_id: str, link: RedisLink) -> None:
        self._node_id = node_id
        self._link = link
        #: Own users whose seat changed, and how each was shown before.
        self._changed: dict[str, str] = {}
        self._stale: set[str] = set()
        #: Connections of ours that are in Redis, and those of the dead that still are.
        self._written: dict[str, set[str]] = {}
        self._buried: dict[str, list[str]] = {}
        self._refreshed_at = float("-inf")

    @property
    def due(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._changed or self._stale or self._buried)

    def changed(self, user_key: str, before: str) -> None:
        """An own user's seat changed; before that the user was shown as `before`."""
        if not is_inbox(user_key):
            self._changed.setdefault(user_key, before)

    def refresh(self, user_keys: Iterable[str]) -> None:
        """All of these own users are to be written again."""
        self._stale.update(key for key in user_keys if not is_inbox(key))

    def refresh_when_due(self, user_keys: Iterable[str], now: float) -> None:
        """The same, but not more often than every `REFRESH` seconds of `now`."""
        if now - self._refreshed_at >= REFRESH:
            self._refreshed_at = now
            self.refresh(user_keys)

    def bury(self, left: dict[str, list[str]]) -> None:
        """A dead node has left these connections of these users."""
        self._buried |= {key: ids for key, ids in left.items() if not is_inbox(key)}

    async def write(self, table: NodesTable) -> None:
        """Brings Redis up to what the table says. Raises RedisDown; what was not written then
        stays noted."""
        changed, self._changed = self._changed, {}
        stale, self._stale = self._stale, set()
        buried, self._buried = self._buried, {}
        try:
            await self._write(table, changed, stale, buried)
        except RedisDown:
            self._changed = changed | self._changed
            self._stale |= stale
            self._buried = buried | self._buried
            raise

    async def sweep(self) -> None:
        """Takes those out of the set whom nobody has refreshed: all nodes may have died at once.
        Raises RedisDown."""
        members = (await self._link.run([("SMEMBERS", USERS)]))[0]
        members = [member.decode("utf-8", "surrogateescape") for member in members]
        for start in range(0, len(members), SWEEP_PART):
            part = members[start : start + SWEEP_PART]
            await self._take_out([member for member, n in await self._sizes(part) if not n])

    async def _write(
        self,
        table: NodesTable,
        changed: dict[str, str],
        stale: set[str],
        buried: dict[str, list[str]],
    ) -> None:
        commands: list[tuple[Any, ...]] = []
        leaving: dict[str, list[str]] = dict(buried)
        for user_key in changed.keys() | stale:
            seat = table.seats(user_key).get(self._node_id)
            written = self._written.get(user_key, set())
            if seat is None:
                leaving[user_key] = [*leaving.get(user_key, ()), *written]
                continue
            fields: list[Any] = []
            for connection_id, came in seat.connections.items():
                line = {"connected_at": to_wire(came), "node": self._node_id, "status": seat.status}
                fields += [connection_id, encode(line)]
            key = _hash(user_key)
            if fields:
                commands.append(("HSET", key, *fields))
            if gone := written - seat.connections.keys():
                commands.append(("HDEL", key, *gone))
            commands.append(("PEXPIRE", key, EXPIRY_MS))
            commands.append(("SADD", USERS, member_of(user_key)))
            self._written[user_key] = set(seat.connections)
        commands += [("HDEL", _hash(key), *ids) for key, ids in leaving.items() if ids]
        if commands:
            await self._link.run(commands)
        if leaving:
            sizes = await self._sizes([member_of(key) for key in leaving])
            await self._take_out([member for member, size in sizes if not size])
        for user_key in leaving:
            self._written.pop(user_key, None)
        shown = {key: table.status(key) for key in changed.keys() | buried.keys()}
        news = [
            (CHANNEL, encode({"user_id": member_of(key), "status": status}))
            for key, status in shown.items()
            if changed.get(key) != status
        ]
        if news:
            await self._link.publish(news)

    async def _sizes(self, members: list[str]) -> list[tuple[str, int]]:
        """How many connections each has, on all nodes."""
        if not members:
            return []
        sizes = await self._link.run([("HLEN", f"online_users:{member}") for member in members])
        return list(zip(members, sizes, strict=True))

    async def _take_out(self, members: list[str]) -> None:
        """Takes users out of the set who have no connection. Somebody else may write one just
        now: whoever comes after this look puts the user in himself, and before it we do."""
        if members:
            await self._link.run([("SREM", USERS, *members)])
            back = [member for member, size in await self._sizes(members) if size]
            if back:
                await self._link.run([("SADD", USERS, *back)])


def member_of(user_key: str) -> str:
    """The user as readers outside know it."""
    return user_key.removeprefix(DEFAULT)


def _hash(user_key: str) -> str:
    return f"online_users:{member_of(user_key)}"
