"""Presence: who is online, on which node, with which connections, and shown as what."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from actors.bus import Envelope

OFFLINE = "offline"


class Seat(msgspec.Struct, frozen=True):
    """One user on one node."""

    status: str
    #: When each connection came, in ms since 1970, by connection id.
    connections: dict[str, int]


class Presence(Protocol):
    """One table for routing and for people. Only the router writes its own node's part; reading
    never waits, since the table of all nodes is at hand."""

    async def start(self) -> None:
        """Begins to tell and to hear; never fails for want of a peer."""

    async def stop(self) -> None:
        """Gives this node's part back."""

    def enter(self, user_key: str, status: str, connections: Mapping[str, int]) -> None:
        """The user is on this node, shown as `status`, with these connections now."""

    def leave(self, user_key: str) -> None:
        """The user is no longer on this node."""

    def seats(self, user_key: str) -> Mapping[str, Seat]:
        """Where the user is, by node id; this node included. An inbox that is watched has seats of
        its own, which are shown to nobody."""

    def status(self, user_key: str) -> str:
        """How the user is shown: `online`, `away`, `busy`, `dnd` or `offline`."""

    def nodes(self, user_keys: Iterable[str]) -> set[str]:
        """The other nodes that hold at least one of these users."""

    def online(self, tenant: str) -> list[str]:
        """The keys of the tenant's users who are online anywhere, sorted."""

    def receive(self, envelope: Envelope) -> None:
        """An envelope of the kind `presence` that another node sent."""

    def on_change(self, told: Callable[[str], None]) -> None:
        """`told(user_key)` is called after a user's seat on another node came, changed or went."""

    @property
    def problem(self) -> str | None:
        """Why other nodes' users may be unknown now, in one sentence; None where all is well."""
