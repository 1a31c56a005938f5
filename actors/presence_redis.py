"""Presence over Redis: every node holds the table of all nodes in memory.

What changes goes over the bus, numbered by version. The same is kept in Redis, a lease and a hash
for each node, for those who come later or have missed something: each says every two seconds which
version it is at, and whoever differs reads that node's hash. A node whose lease has ended and that
is not heard either is dropped in one step.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from actors.bus import Envelope
from actors.bus_peers import LEASE
from actors.bus_redis import RedisBus
from actors.link_redis import RedisDown, end, pause
from actors.online_mirror import OnlineMirror
from actors.presence import Seat
from actors.presence_keys import Part, PresenceKeys
from actors.presence_table import NodesTable
from actors.supervisor import Supervisor

LOOK = 2.0  # seconds between two renewals of the lease, and looks at those of others
MEND_PATIENCE = 3.0  # seconds until a node is asked again for the state it is in
READ_TRIES = 5  # looks at a hash that is still behind what was heard of it
MOST_HELD = 10_000  # changes of one node that wait while its hash is read
TOLD_AT_ONCE = 100  # users that are told of in one tick

log = logging.getLogger("anmei.presence")


class RedisPresence:
    """One node's view, and its own part."""

    def __init__(
        self,
        node_id: str,
        bus: RedisBus,
        loop: asyncio.AbstractEventLoop,
        supervisor: Supervisor,
    ) -> None:
        self._node_id = node_id
        self._bus = bus
        self._loop = loop
        self._supervisor = supervisor
        self._keys = PresenceKeys(node_id, bus.link, bus.prefix)
        self._mirror = OnlineMirror(node_id, bus.link)
        self._table = NodesTable()
        self._told: Callable[[str], None] = lambda user_key: None
        self._news: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

        self._begin_anew()
        #: Own users whose entry in Redis is behind.
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._problem: str | None = "Redis was not asked for other nodes' users yet"
        self._looked_at = loop.time()
        #: Nodes whose hash is being read, and their changes that came meanwhile.
        self._held: dict[str, list[Envelope]] = {}
        self._mending: dict[str, list[asyncio.Future[None]]] = {}

    # The contract of Presence

    async def start(self) -> None:
        self._bus.watch(self._mend)
        with contextlib.suppress(RedisDown):
            await self._register()
            await self._look()
            await self._mirror.sweep()
        supervisor = self._supervisor
        self._tasks = [
            supervisor.start("presence writer", self._write_forever),
            supervisor.start("presence lease", self._look_forever),
        ]

    async def stop(self) -> None:
        await end(self._tasks)
        for user_key in list(self._own.users):
            self.leave(user_key)
        self._bus.publish_all({"kind": "presence", "op": "bye", "node": self._node_id})
        with contextlib.suppress(RedisDown):
            await self._mirror.write(self._table)
            await self._keys.withdraw()

    def enter(self, user_key: str, status: str, connections: Mapping[str, int]) -> None:
        self._put_own(user_key, Seat(status, dict(connections)))

    def leave(self, user_key: str) -> None:
        self._put_own(user_key, None)

    def seats(self, user_key: str) -> Mapping[str, Seat]:
        return self._table.seats(user_key)

    def status(self, user_key: str) -> str:
        return self._table.status(user_key)

    def nodes(self, user_keys: Iterable[str]) -> set[str]:
        return self._table.nodes(user_keys, self._node_id)

    def online(self, tenant: str) -> list[str]:
        return self._table.online(tenant + "/")

    def receive(self, envelope: Envelope) -> None:
        node_id, op = envelope["node"], envelope["op"]
        if op == "seat":
            self._seat_came(node_id, envelope)
        elif op == "state":
            self._state_came(node_id, envelope["epoch"], envelope["v"], envelope["count"])
        elif op == "ask":
            self._bus.publish(node_id, self._state())
        elif op == "bye":
            self._drop(node_id)

    def on_change(self, told: Callable[[str], None]) -> None:
        self._told = told

    @property
    def problem(self) -> str | None:
        return self._problem

    def others(self) -> list[str]:
        """The other nodes whose users are known, sorted."""
        return sorted(self._table.places.keys() - {self._node_id})

    # The own part

    def _begin_anew(self) -> None:
        """A new epoch: others take nothing over from the one before."""
        seats = {}
        if self._node_id in self._table.places:
            seats = self._table.part(self._node_id)
        # Only nothing at all is version 0, so that nobody takes a first change for the whole.
        self._table.replace(self._node_id, secrets.token_hex(8), int(bool(seats)), seats)
        self._own = self._table.places[self._node_id]

    def _state(self) -> Envelope:
        own = self._own
        return {
            "kind": "presence",
            "op": "state",
            "node": self._node_id,
            "epoch": own.epoch,
            "v": own.version,
            "count": len(own.users),
        }

    def _put_own(self, user_key: str, seat: Seat | None) -> None:
        before = self._table.status(user_key)
        if not self._table.put(self._node_id, user_key, seat):
            return
        self._own.version += 1
        self._dirty.add(user_key)
        self._mirror.changed(user_key, before)
        self._wake.set()
        self._bus.publish_all(
            {
                "kind": "presence",
                "op": "seat",
                "node": self._node_id,
                "epoch": self._own.epoch,
                "v": self._own.version,
                "user": user_key,
                "seat": None if seat is None else [seat.status, seat.connections],
            }
        )

    async def _write_forever(self) -> None:
        attempt = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                async with self._writing:
                    await self._write()
                await self._mirror.write(self._table)
                attempt = 0
            except RedisDown:
                # What is behind stays noted; the look that finds Redis again writes everything.
                await asyncio.sleep(pause(attempt))
                attempt += 1
                self._wake.set()

    async def _write(self) -> None:
        """Brings the hash up to this moment."""
        dirty, self._dirty = self._dirty, set()
        if not dirty:
            return
        seats = {key: self._table.seats(key).get(self._node_id) for key in dirty}
        here = {key: seat for key, seat in seats.items() if seat is not None}
        part = Part(self._own.epoch, self._own.version, here)
        try:
            await self._keys.update(part, seats.keys() - here.keys())
        except RedisDown:
            self._dirty |= dirty
            raise

    async def _register(self) -> None:
        """Writes the whole part under a new epoch, and takes the lease."""
        async with self._writing:
            self._begin_anew()
            self._dirty.clear()
            seats = self._table.part(self._node_id)
            await self._keys.register(Part(self._own.epoch, self._own.version, seats))
        self._mirror.refresh(self._own.users)
        self._bus.publish_all(self._state())
        self._wake.set()

    # The others

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self._look()
            except RedisDown as error:
                self._lost(str(error))

    async def _look(self) -> None:
        """Renews the own lease, and sees whose has ended."""
        renewed, listed = await self._keys.renew(self._own.epoch)
        if not renewed:
            # Frozen for so long that the others have given it up, or Redis has begun empty.
            await self._register()
        leases = await self._keys.leases((listed | self._table.places.keys()) - {self._node_id})
        self._looked_at = self._loop.time()
        self._problem = None
        for node_id, epoch in leases.items():
            if epoch is not None:
                self._bus.peers.expect(node_id)
                place = self._table.places.get(node_id)
                if place is None or place.epoch != epoch:
                    self._read_soon(node_id, epoch, 0)
            elif not self._bus.peers.alive(node_id):
                await self._bury(node_id)
        self._bus.publish_all(self._state())
        self._mirror.refresh_when_due(self._own.users, self._loop.time())
        if self._mirror.due:
            self._wake.set()

    def _lost(self, reason: str) -> None:
        """Redis cannot be asked: after a lease nothing is known of the others any more."""
        if self._loop.time() - self._looked_at > LEASE:
            self._problem = f"other nodes' users are unknown, as Redis cannot be reached: {reason}"
            for node_id in self.others():
                self._drop(node_id)
        else:
            self._problem = f"what is known of other nodes' users gets old: {reason}"

    async def _bury(self, node_id: str) -> None:
        """One survivor, whoever is first, cleans up in Redis; each drops it here."""
        if node_id in self._table.places:
            seats: Mapping[str, Seat] = self._table.part(node_id)
        else:
            part = await self._keys.read(node_id)
            seats = part.seats if part is not None else {}
        first = await self._keys.bury(node_id)
        log.info("node %s is gone with %d users", node_id, len(seats))
        self._bus.forget(node_id)
        self._drop(node_id)
        if first:
            self._mirror.bury({key: list(seat.connections) for key, seat in seats.items()})
            self._wake.set()

    def _drop(self, node_id: str) -> None:
        self._held.pop(node_id, None)
        self._matched(node_id)
        self._changed(self._table.drop(node_id))

    def _seat_came(self, node_id: str, envelope: Envelope) -> None:
        held = self._held.get(node_id)
        if held is not None:
            if len(held) < MOST_HELD:
                held.append(envelope)
            return
        epoch, version = envelope["epoch"], envelope["v"]
        place = self._table.places.get(node_id)
        if place is None and version == 1:
            self._table.replace(node_id, epoch, 0, {})
            place = self._table.places[node_id]
        if place is None or place.epoch != epoch or version > place.version + 1:
            self._read_soon(node_id, epoch, version)
        elif version == place.version + 1:
            place.version = version
            seat = envelope["seat"]
            user_key = envelope["user"]
            if self._table.put(node_id, user_key, None if seat is None else Seat(*seat)):
                self._changed([user_key])

    def _state_came(self, node_id: str, epoch: str, version: int, count: int) -> None:
        if node_id in self._held:
            return  # about to be read
        if node_id not in self._table.places and not version and not count:
            self._table.replace(node_id, epoch, 0, {})
        place = self._table.places.get(node_id)
        if (
            place is None
            or place.epoch != epoch
            or (place.version, len(place.users)) != (version, count)
            and place.version <= version  # or it was said before what came since
        ):
            self._read_soon(node_id, epoch, version)
            return
        self._matched(node_id)

    def _read_soon(self, node_id: str, epoch: str, version: int) -> None:
        """Has the node's hash read, which is at this version at least, or will be."""
        if node_id not in self._held:
            held = self._held[node_id] = []
            work = partial(self._read, node_id, epoch, version, held)
            self._supervisor.spawn("presence read", work)

    async def _read(self, node_id: str, epoch: str, version: int, held: list[Envelope]) -> None:
        """`held` stands for the node while this is of use: dropped meanwhile, it is not."""
        try:
            for attempt in range(READ_TRIES):
                part = await self._keys.read(node_id)
                if part is not None and part.epoch == epoch and part.version >= version:
                    if self._held.get(node_id) is held:
                        self._changed(self._table.replace(node_id, *part))
                        self._matched(node_id)
                    break
                # The word came before the deed: writing it is a tick behind saying it.
                await asyncio.sleep(pause(attempt))
        except RedisDown:
            pass  # the next state that the node names asks for it again
        finally:
            if self._held.get(node_id) is held:
                del self._held[node_id]
                for envelope in held:
                    self._seat_came(node_id, envelope)

    async def _mend(self, node_id: str) -> None:
        """Something the node has told all was lost: returns when what it is at is known here."""
        future = self._loop.create_future()
        self._mending.setdefault(node_id, []).append(future)
        self._bus.publish(node_id, {"kind": "presence", "op": "ask", "node": self._node_id})
        async with asyncio.timeout(MEND_PATIENCE):
            await future

    def _matched(self, node_id: str) -> None:
        for future in self._mending.pop(node_id, ()):
            if not future.done():
                future.set_result(None)

    def _changed(self, user_keys: list[str]) -> None:
        """Tells of these users, a few a tick: a node that dies takes all of its own at once."""
        if user_keys and not self._news:
            self._loop.call_soon(self._tell)
        self._news += user_keys

    def _tell(self) -> None:
        now, self._news = self._news[:TOLD_AT_ONCE], self._news[TOLD_AT_ONCE:]
        if self._news:
            self._loop.call_soon(self._tell)
        for user_key in now:
            self._told(user_key)
