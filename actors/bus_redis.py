"""The bus over Redis: one channel for each node and one for all.

`publish` only appends; a flusher sends what a loop tick has brought in one pipeline. Publishing on
Redis is fire and forget, so every packet has a number, a heartbeat every second names the last
ones, and whatever does not add up is announced as a gap.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from actors.bus import Checkup, Envelope
from actors.bus_doubts import Doubts
from actors.bus_outbox import Outbox
from actors.bus_peers import Peers
from actors.checkup_redis import check_up
from actors.counters import Counters
from actors.link_redis import RedisDown, Subscription, end, make_link, pause
from actors.supervisor import Supervisor
from anmei.codec import encode
from anmei.envelope import ALL, BadPacket, Packet, Seal
from anmei.numbers import Numbers, Taken
from anmei.outside import BROADCAST, USER_PATTERN, Outside

BEAT = 1.0  # seconds between two heartbeats
DISTRUST = 3 * BEAT  # seconds without hearing oneself after which the link counts as broken
PATIENT_TRIES = 3  # connections that may fail in a row before it is said
STEADY = 0.2  # seconds after which a link that breaks is opened again at once
FIRST_CONNECT = 2.0  # seconds that a start waits for Redis
LAST_FLUSH = 2.0  # seconds that a stop waits for what is to be sent

log = logging.getLogger("anmei.bus")


class RedisBus:
    """One node's end. Its own envelopes have the kind `bus` and reach nobody else."""

    def __init__(
        self,
        node_id: str,
        url: str,
        password: str,
        secrets: list[str],
        loop: asyncio.AbstractEventLoop,
        supervisor: Supervisor,
        counters: Counters,
        prefix: str = "anmei",
    ) -> None:
        """`secrets` seal the envelopes: the first one signs, all open. Raises SettingsError."""
        self.node_id = node_id
        self.link = make_link(url, password)
        #: What all keys and channels begin with; in a cluster a hash tag, so they share a shard.
        self.prefix = f"{{{prefix}}}" if self.link.tagged else prefix
        self.peers = Peers(loop)
        self._loop = loop
        self._supervisor = supervisor
        self._counters = counters
        self._seal = Seal(secrets)
        self._outside = Outside(secrets)
        self._numbers = Numbers()
        self._doubts = Doubts(node_id)
        self._outbox = Outbox(node_id, self._seal, counters)
        self._receive: Callable[[Envelope], None] = lambda envelope: None
        self._gap: Callable[[], None] = lambda: None
        self._mend: Callable[[str], Awaitable[None]] | None = None
        self._mending: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

        self._wake = asyncio.Event()
        self._beat_due = False
        #: Nodes that are to be told how much of what they sent has been handled here.
        self._answers: set[str] = set()
        #: Wait for the number of the next packet to all.
        self._asking: list[asyncio.Future[int]] = []
        self._stopping = False
        self._flushed = asyncio.Event()

        self._subscribed = asyncio.Event()
        self._heard_self = self._connected_at = loop.time()
        self._down: str | None = "not connected yet"
        self._publish_fails: str | None = None
        self._reported = False
        self._gap_told = False

    # The contract of Bus

    async def start(self) -> None:
        supervisor = self._supervisor
        self._tasks = [
            supervisor.start("bus flusher", self._flush_forever),
            supervisor.start("bus reader", self._read_forever),
            supervisor.start("bus heartbeat", self._beat_forever),
        ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._subscribed.wait(), FIRST_CONNECT)

    async def stop(self) -> None:
        if not self._tasks:
            return
        self.publish_all({"kind": "bus", "op": "bye"})
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._flushed.wait(), LAST_FLUSH)
        await end(self._tasks)
        self._tasks = []
        self._tell_askers()
        self.peers.close()
        with contextlib.suppress(Exception):  # whatever a dead server sets off, we are leaving
            await asyncio.wait_for(self.link.close(), LAST_FLUSH)

    def publish(self, node_id: str, envelope: Envelope) -> None:
        self._outbox.put(node_id, envelope)
        self._wake.set()

    def publish_all(self, envelope: Envelope) -> None:
        self._outbox.put(ALL, envelope)
        self._wake.set()

    def listen(self, receive: Callable[[Envelope], None], gap: Callable[[], None]) -> None:
        self._receive = receive
        self._gap = gap

    @property
    def shared(self) -> bool:
        return True

    @property
    def others(self) -> int:
        return len(self.peers)

    async def settled(self) -> None:
        if self.peers:
            number: asyncio.Future[int] = self._loop.create_future()
            self._asking.append(number)
            self._wake.set()
            await self.peers.wait(number)

    async def check_up(self) -> Checkup | None:
        return await check_up(self.link, self.prefix)

    @property
    def problem(self) -> str | None:
        trouble = self._down or self._publish_fails
        return f"Redis cannot be reached: {trouble}" if trouble else None

    # For presence

    def watch(self, mend: Callable[[str], Awaitable[None]]) -> None:
        """From now on, what a node has sent to all and was lost counts as handled only after
        `mend(node_id)`, which makes good for it or raises TimeoutError or RedisDown."""
        self._mend = mend

    def forget(self, node_id: str) -> None:
        """The node is dead: nobody waits for it."""
        self._doubts.forget(node_id)
        if self.peers.forget(node_id):
            self._numbers.forget(node_id)

    # Sending

    async def _flush_forever(self) -> None:
        attempt = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            messages = self._messages()
            if messages:
                try:
                    heard = await self.link.publish(messages)
                except RedisDown as error:
                    # The numbers are used up, so the others notice what they did not get.
                    self._publish_fails = str(error)
                    self._counters.bus_failures += 1
                    self._report()
                    await asyncio.sleep(pause(attempt))
                    attempt += 1
                    continue
                attempt = 0
                self._counters.bus_unheard += heard.count(0)
                if self._publish_fails is not None:
                    self._publish_fails = None
                    self._report()
            if self._stopping and not self._outbox:
                self._flushed.set()
                return

    def _messages(self) -> list[tuple[str, bytes]]:
        """Everything that waits, as sealed packets by channel."""
        waiting = self._outbox.take()
        for node_id in self._answers:
            answer = {"kind": "bus", "op": "seen", "n": self._numbers.whole(node_id)}
            waiting.setdefault(node_id, []).append(encode(answer))
        self._answers.clear()
        to_all = waiting.pop(ALL, [])
        messages = [
            (f"{self.prefix}:node:{to}", packet)
            for to, encoded in waiting.items()
            for packet in self._outbox.packets(to, encoded)
        ]
        # Behind the rest, since it names how far that goes.
        if self._beat_due:
            self._beat_due = False
            sent = {to: number for to, number in self._outbox.sent.items() if to in self.peers}
            beat = {"kind": "bus", "op": "beat", "sent": sent, "seen": self._numbers.vector()}
            to_all.append(encode(beat))
        if self._asking:
            to_all.append(encode({"kind": "bus", "op": "ask"}))
        messages += [(f"{self.prefix}:all", data) for data in self._outbox.packets(ALL, to_all)]
        self._tell_askers()
        return messages

    def _tell_askers(self) -> None:
        for number in self._asking:
            if not number.done():
                number.set_result(self._outbox.last_to_all)
        self._asking.clear()

    async def _beat_forever(self) -> None:
        while True:
            self._beat_due = True
            self._wake.set()
            for node_id in self.peers.silent():
                self.forget(node_id)
            await asyncio.sleep(BEAT)

    # Hearing

    async def _read_forever(self) -> None:
        attempt = 0
        own = (f"{self.prefix}:all", f"{self.prefix}:node:{self.node_id}")
        while True:
            subscription = self.link.subscription(own, [BROADCAST, USER_PATTERN])
            try:
                await subscription.open()
                attempt = 0
                self._connected()
                await self._read(subscription, own)
            except RedisDown as error:
                self._down = str(error)
            except Exception as error:  # a parser's own trouble: the connection is of no use
                self._down = f"{type(error).__name__} while reading"
                log.exception("reading from Redis failed")
            finally:
                await subscription.close()
            if self._subscribed.is_set():
                self._subscribed.clear()
                log.info("the subscription has ended: %s", self._down)
            elif attempt >= PATIENT_TRIES:
                # The first few may only have been cut off like the link before.
                self._report()
            if attempt or self._loop.time() - self._connected_at < STEADY:
                await asyncio.sleep(pause(attempt))
            attempt += 1

    def _connected(self) -> None:
        self._down = None
        self._report()
        self._heard_self = self._connected_at = self._loop.time()
        self._subscribed.set()
        self._counters.bus_connects += 1
        self._tell_gap()
        self._supervisor.spawn("bus catch-up", self._catch_up)

    async def _catch_up(self) -> None:
        """Whoever did not hear us, or is new, may not know yet what he has to send here: what was
        committed until he does is found by a gap that is announced then."""
        await self.settled()
        self._tell_gap()

    async def _read(self, subscription: Subscription, own: tuple[str, str]) -> None:
        """Reads until the connection ends, or this node has not heard itself for too long: a
        server that hangs, or a replica that is fed no more, closes nothing."""
        reading = asyncio.ensure_future(self._read_on(subscription, own))
        try:
            while not reading.done():
                left = self._heard_self + DISTRUST - self._loop.time()
                if left <= 0:
                    raise RedisDown(f"this node did not hear itself for {DISTRUST:g} s")
                await asyncio.wait([reading], timeout=left)
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read_on(self, subscription: Subscription, own: tuple[str, str]) -> None:
        while True:
            channel, data = await subscription.next()
            if channel in own:
                self._came(data)
            else:
                self._came_from_outside(channel, data)

    def _came(self, data: bytes) -> None:
        try:
            packet = self._seal.open(data)
            if packet.to not in (ALL, self.node_id):
                raise BadPacket("it is for another node")
        except BadPacket as error:
            self._counters.bus_refused += 1
            log.debug("a packet was refused: %s", error)
            return
        if packet.sender == self.node_id:
            self._heard_self = self._loop.time()
            return
        self._counters.bus_received += 1
        taken = self._numbers.take(packet.sender, packet.number, to_all=packet.to == ALL)
        if taken is Taken.OLD:
            self._counters.bus_repeats += 1
            return
        if self.peers.hear(packet.sender):
            self._supervisor.spawn("bus catch-up", self._catch_up)
        for envelope in self._doubts.admit(packet):
            self._hand_on(packet.sender, envelope)
        if taken is Taken.AFTER_LOSS:
            self._lost(packet)

    def _came_from_outside(self, channel: str, data: bytes) -> None:
        try:
            envelope = self._outside.read(channel, data)
        except BadPacket as error:
            self._counters.outside_refused += 1
            log.debug("a message on %s was refused: %s", ascii(channel[:64]), error)
            return
        self._counters.outside += 1
        self._hand_on("outside", envelope)

    def _hand_on(self, sender: str, envelope: Envelope) -> None:
        try:
            if envelope["kind"] == "bus":
                self._control(sender, envelope)
            else:
                self._receive(envelope)
        except Exception:
            # One that fails must not cost the others theirs, nor end the reader.
            log.exception("an envelope of %s failed", sender)
            self._counters.crashes += 1
            self._tell_gap()

    def _control(self, sender: str, envelope: Envelope) -> None:
        op = envelope["op"]
        if op == "beat":
            if self._numbers.beat(sender, envelope["sent"].get(self.node_id, 0)):
                self._tell_gap()
            self.peers.handled(sender, envelope["seen"].get(self.node_id, 0))
        elif op == "ask":
            self._answer(sender)
        elif op == "seen":
            self.peers.handled(sender, envelope["n"])
        elif op == "bye":
            self.forget(sender)

    def _answer(self, node_id: str) -> None:
        self._answers.add(node_id)
        self._wake.set()

    # Losses

    def _lost(self, packet: Packet) -> None:
        self._tell_gap()
        if packet.to == ALL and packet.sender not in self._mending:
            self._mending.add(packet.sender)
            self._supervisor.spawn("bus mend", partial(self._make_good, packet.sender))

    async def _make_good(self, sender: str) -> None:
        attempt = 0
        try:
            while sender in self.peers:
                losses = self._numbers.losses(sender)
                try:
                    if self._mend is not None:
                        await self._mend(sender)
                except (RedisDown, TimeoutError):
                    await asyncio.sleep(pause(attempt))
                    attempt += 1
                    continue
                if self._numbers.mended(sender, losses):
                    self._answer(sender)
                    return
        finally:
            self._mending.discard(sender)

    def _tell_gap(self) -> None:
        """Announces a gap, once for however many are found in one tick."""
        if not self._gap_told:
            self._gap_told = True
            self._loop.call_soon(self._tell_gap_now)

    def _tell_gap_now(self) -> None:
        self._gap_told = False
        self._counters.bus_gaps += 1
        self._gap()

    def _report(self) -> None:
        """Logs when Redis goes and when it is back, and not each try between."""
        problem = self.problem
        if (problem is None) == self._reported:
            self._reported = problem is not None
            log.warning(problem or "Redis is back")
