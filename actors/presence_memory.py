"""Presence within one process: complete for one node, and for several that share a `Table`."""

from collections.abc import Callable, Iterable, Mapping

from actors.bus import Envelope
from actors.presence import OFFLINE, Seat
from anmei.inbox import is_inbox


class Table:
    """What the nodes of one process share."""

    def __init__(self) -> None:
        #: By user key, then by node id.
        self.users: dict[str, dict[str, Seat]] = {}
        self.listeners: dict[str, Callable[[str], None]] = {}


class MemoryPresence:
    """One node's view of a `Table`."""

    problem: str | None = None

    def __init__(self, node_id: str, table: Table | None = None) -> None:
        self._node_id = node_id
        self._table = table or Table()

    async def start(self) -> None:
        """There is nobody to find."""

    async def stop(self) -> None:
        for user_key in [key for key, seats in self._table.users.items() if self._node_id in seats]:
            self.leave(user_key)
        self._table.listeners.pop(self._node_id, None)

    def enter(self, user_key: str, status: str, connections: Mapping[str, int]) -> None:
        seats = self._table.users.setdefault(user_key, {})
        seats[self._node_id] = Seat(status, dict(connections))
        self._tell(user_key)

    def leave(self, user_key: str) -> None:
        seats = self._table.users.get(user_key)
        if seats is None or seats.pop(self._node_id, None) is None:
            return
        if not seats:
            del self._table.users[user_key]
        self._tell(user_key)

    def seats(self, user_key: str) -> Mapping[str, Seat]:
        return self._table.users.get(user_key, {})

    def status(self, user_key: str) -> str:
        return shown_status(self.seats(user_key).values())

    def nodes(self, user_keys: Iterable[str]) -> set[str]:
        found: set[str] = set()
        if self._table.listeners.keys() - {self._node_id}:
            for user_key in user_keys:
                found.update(self._table.users.get(user_key, ()))
            found.discard(self._node_id)
        return found  # with one node, the common case, this costs nothing a member

    def online(self, tenant: str) -> list[str]:
        prefix = tenant + "/"
        return sorted(
            key for key in self._table.users if key.startswith(prefix) and not is_inbox(key)
        )

    def receive(self, envelope: Envelope) -> None:
        """The table is shared: there is nothing that an envelope could say."""

    def on_change(self, told: Callable[[str], None]) -> None:
        self._table.listeners[self._node_id] = told

    def _tell(self, user_key: str) -> None:
        for node_id, told in self._table.listeners.items():
            if node_id != self._node_id:
                told(user_key)


def shown_status(seats: Iterable[Seat]) -> str:
    """How somebody with these seats is shown: as on the node where the latest connection is."""
    latest, shown = -1, OFFLINE
    for seat in seats:
        newest = max(seat.connections.values(), default=0)
        if newest > latest:
            latest, shown = newest, seat.status
    return shown
