"""The table behind presence on several nodes: each node's users, and each user's nodes."""

from collections.abc import Iterable, Mapping

from actors.presence import OFFLINE, Seat
from actors.presence_memory import shown_status
from anmei.inbox import is_inbox


class Place:
    """One node's part of the table, and which state of it that is."""

    __slots__ = ("epoch", "users", "version")

    def __init__(self, epoch: str, version: int) -> None:
        #: Changes when the node begins anew; versions count within it.
        self.epoch = epoch
        self.version = version
        self.users: set[str] = set()


class NodesTable:
    """Who is where. Every change answers with the users whom it changed."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self._users: dict[str, dict[str, Seat]] = {}

    def seats(self, user_key: str) -> Mapping[str, Seat]:
        return self._users.get(user_key, {})

    def status(self, user_key: str) -> str:
        seats = self._users.get(user_key)
        return shown_status(seats.values()) if seats else OFFLINE

    def online(self, prefix: str) -> list[str]:
        """The users whose key begins so, sorted."""
        return sorted(key for key in self._users if key.startswith(prefix) and not is_inbox(key))

    def nodes(self, user_keys: Iterable[str], but: str) -> set[str]:
        """The nodes, `but` one, that hold at least one of these users."""
        others = len(self.places) - (but in self.places)
        found: set[str] = set()
        if others:
            users = self._users
            for user_key in user_keys:
                seats = users.get(user_key)
                if seats is not None:
                    found.update(seats)
                    if len(found) - (but in found) == others:
                        break
            found.discard(but)
        return found

    def put(self, node_id: str, user_key: str, seat: Seat | None) -> bool:
        """The user is on the node with this seat, or, with None, no longer; whether that is new.
        The node must have a place."""
        seats = self._users.get(user_key, {})
        if seats.get(node_id) == seat:
            return False
        if seat is not None:
            self._users.setdefault(user_key, seats)[node_id] = seat
            self.places[node_id].users.add(user_key)
        else:
            del seats[node_id]
            self.places[node_id].users.discard(user_key)
            if not seats:
                del self._users[user_key]
        return True

    def replace(
        self, node_id: str, epoch: str, version: int, seats: Mapping[str, Seat]
    ) -> list[str]:
        """Everything that is on a node, as of one version; who was changed by it."""
        place = self.places.setdefault(node_id, Place(epoch, version))
        place.epoch, place.version = epoch, version
        gone = [key for key in place.users if key not in seats]
        changed = [key for key in gone if self.put(node_id, key, None)]
        return changed + [key for key, seat in seats.items() if self.put(node_id, key, seat)]

    def part(self, node_id: str) -> dict[str, Seat]:
        """Everything that is on a node that has a place."""
        return {key: self._users[key][node_id] for key in self.places[node_id].users}

    def drop(self, node_id: str) -> list[str]:
        """The node is no more; who was on it."""
        if node_id not in self.places:
            return []
        gone = self.replace(node_id, "", 0, {})
        del self.places[node_id]
        return gone
