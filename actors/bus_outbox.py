"""What waits to be sent to other nodes, and the packets that it becomes."""

from collections.abc import Iterator

from actors.bus import Envelope
from actors.counters import Counters
from anmei.codec import encode
from anmei.envelope import ALL, Seal, fits, parts

MOST_WAITING = 10_000  # envelopes
MOST_WAITING_BYTES = 8 * 1024 * 1024


class Outbox:
    """Bounded: what finds no room is let go, and its number is skipped, so that it is missed."""

    def __init__(self, node_id: str, seal: Seal, counters: Counters) -> None:
        self._node_id = node_id
        self._seal = seal
        self._counters = counters
        self._waiting: dict[str, list[bytes]] = {}
        self._count = 0
        self._bytes = 0
        self._spilled: set[str] = set()
        #: The last number to each node and to all. Kept for ever, since a node that was given up
        #: may only have been frozen, and counts on from there.
        self._sent: dict[str, int] = {}
        self._last: tuple[Envelope, bytes] | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def sent(self) -> dict[str, int]:
        return self._sent

    def put(self, to: str, envelope: Envelope) -> None:
        """`to`: a node id, or `ALL`."""
        if self._last is None or self._last[0] is not envelope:
            # One envelope for several nodes comes several times in a row.
            self._last = (envelope, encode(envelope))
        data = self._last[1]
        if (
            self._count >= MOST_WAITING
            or self._bytes + len(data) > MOST_WAITING_BYTES
            or not fits(data)
        ):
            self._counters.bus_dropped += 1
            self._spilled.add(to)
        else:
            self._count += 1
            self._bytes += len(data)
            self._waiting.setdefault(to, []).append(data)

    def take(self) -> dict[str, list[bytes]]:
        """Everything that waits, encoded, by `to`; nothing waits after that."""
        waiting, self._waiting = self._waiting, {}
        for to in self._spilled:
            self._sent[to] = self._sent.get(to, 0) + 1
        self._spilled.clear()
        self._counters.bus_envelopes += self._count
        self._count = self._bytes = 0
        self._last = None
        return waiting

    def packets(self, to: str, encoded: list[bytes]) -> Iterator[bytes]:
        """`encoded` as sealed packets; their numbers are used up from here on, sent or not."""
        for part in parts(encoded):
            number = self._sent[to] = self._sent.get(to, 0) + 1
            packet = self._seal.close(self._node_id, to, number, part)
            self._counters.bus_publishes += 1
            self._counters.bus_bytes += len(packet)
            yield packet

    @property
    def last_to_all(self) -> int:
        return self._sent.get(ALL, 0)
