"""Presence as it lies in Redis: for each node a lease, and a hash of the users who are on it.

{prefix}:nodes            set of node ids
{prefix}:lease:{node}     the node's epoch; expires unless it is renewed
{prefix}:seats:{node}     hash: user key -> [status, {connection id: ms}], and `:state`
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, get_args

import msgspec

from actors.bus_peers import LEASE
from actors.link_redis import Command, RedisLink
from actors.presence import Seat
from anmei.codec import encode
from anmei.frames import Status
from anmei.ids import is_id

LEASE_MS = int(LEASE * 1000)
HASH_MS = 10 * LEASE_MS  # a hash outlives its lease, so that survivors can clean up behind it
STATUSES = frozenset(get_args(Status))

#: The field of a hash that says which epoch and version it is; no user's key looks like it.
STATE = ":state"

RENEW = (
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('PEXPIRE', KEYS[2], ARGV[3]) redis.call('SADD', KEYS[3], ARGV[4]) "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])"
)
#: Removes what a dead node has left, unless it is back.
BURY = (
    "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end "
    "redis.call('DEL', KEYS[2]) return redis.call('SREM', KEYS[3], ARGV[1])"
)

_seat = msgspec.json.Decoder(tuple[str, dict[str, int]])
_state = msgspec.json.Decoder(tuple[str, int])


class Part(NamedTuple):
    """One node's part of the table, as of one version of one epoch."""

    epoch: str
    version: int
    seats: Mapping[str, Seat]


class PresenceKeys:
    """Reads all nodes' keys and writes those of one. Everything raises RedisDown."""

    def __init__(self, node_id: str, link: RedisLink, prefix: str) -> None:
        self._node_id = node_id
        self._link = link
        self._prefix = prefix
        self._nodes = f"{prefix}:nodes"

    async def register(self, part: Part) -> None:
        """Puts the whole part in place of whatever is there, and takes the lease."""
        seats = self._seats(self._node_id)
        await self._link.run(
            [
                ("DEL", seats),
                self._put(part),
                ("PEXPIRE", seats, HASH_MS),
                ("SET", self._lease(self._node_id), part.epoch, "PX", LEASE_MS),
                ("SADD", self._nodes, self._node_id),
            ],
            atomic=True,
        )

    async def update(self, part: Part, gone: Iterable[str]) -> None:
        """Puts these seats, and takes those of `gone` out, in one step for whoever reads."""
        commands = [self._put(part)]
        if gone := list(gone):
            commands.append(("HDEL", self._seats(self._node_id), *gone))
        await self._link.run(commands, atomic=True)

    async def withdraw(self) -> None:
        """The node goes by itself."""
        own = (self._lease(self._node_id), self._seats(self._node_id))
        await self._link.run([("DEL", *own), ("SREM", self._nodes, self._node_id)])

    async def renew(self, epoch: str) -> tuple[bool, set[str]]:
        """Renews the lease; whether it was still that of `epoch`, and which nodes are listed."""
        keys = (self._lease(self._node_id), self._seats(self._node_id), self._nodes)
        renewed, members = await self._link.run(
            [
                ("EVAL", RENEW, 3, *keys, epoch, LEASE_MS, HASH_MS, self._node_id),
                ("SMEMBERS", self._nodes),
            ]
        )
        names = {member.decode("utf-8", "replace") for member in members}
        return bool(renewed), {name for name in names if is_id(name)}

    async def leases(self, node_ids: Iterable[str]) -> dict[str, str | None]:
        """The epoch of each node's lease; None where it has ended."""
        asked = list(node_ids)
        if not asked:
            return {}
        found = (await self._link.run([("MGET", *map(self._lease, asked))]))[0]
        texts = [None if lease is None else lease.decode("utf-8", "replace") for lease in found]
        return dict(zip(asked, texts, strict=True))

    async def read(self, node_id: str) -> Part | None:
        """A node's part; None where there is none that one of ours has written."""
        return _part((await self._link.run([("HGETALL", self._seats(node_id))]))[0])

    async def bury(self, node_id: str) -> bool:
        """Removes what a node has left whose lease has ended; True for the one who did it."""
        keys = (self._lease(node_id), self._seats(node_id), self._nodes)
        return bool((await self._link.run([("EVAL", BURY, 3, *keys, node_id)]))[0])

    def _lease(self, node_id: str) -> str:
        return f"{self._prefix}:lease:{node_id}"

    def _seats(self, node_id: str) -> str:
        return f"{self._prefix}:seats:{node_id}"

    def _put(self, part: Part) -> Command:
        fields: list[Any] = [STATE, encode([part.epoch, part.version])]
        for user_key, seat in part.seats.items():
            fields += [user_key, encode([seat.status, seat.connections])]
        return ("HSET", self._seats(self._node_id), *fields)


def _part(fields: dict[bytes, bytes]) -> Part | None:
    """Anybody who can write to Redis can have written it: what does not fit is left out."""
    try:
        epoch, version = _state.decode(fields.pop(STATE.encode()))
        seats = {}
        for name, value in fields.items():
            user_key = name.decode()
            tenant, _, user_id = user_key.partition("/")
            status, connections = _seat.decode(value)
            if is_id(tenant) and is_id(user_id) and status in STATUSES:
                seats[user_key] = Seat(status, connections)
    except (KeyError, ValueError):
        return None
    return Part(epoch, version, seats)
