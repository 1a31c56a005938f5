"""The bus between nodes. A hint, never the truth: what it loses is read from the store."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

#: Plain JSON values, with `kind` saying what it is.
Envelope = dict[str, Any]


class Checkup(msgspec.Struct, kw_only=True):
    """What there is to say of the server between the nodes."""

    reachable: bool = False
    writable: bool = False
    version: str | None = None
    #: How far its clock is ahead of ours.
    clock_off_ms: int | None = None
    #: How long it took to answer.
    took_ms: float | None = None
    #: What is wrong, in one sentence; None where all is well.
    problem: str | None = None


class Bus(Protocol):
    """Carries envelopes to other nodes and says when some may have been lost."""

    async def start(self) -> None:
        """Begins to send and to hear; never fails for want of a peer."""

    async def stop(self) -> None:
        """Sends what waits, and ends."""

    def publish(self, node_id: str, envelope: Envelope) -> None:
        """Sends to one node; never waits."""

    def publish_all(self, envelope: Envelope) -> None:
        """Sends to every other node; never waits."""

    def listen(self, receive: Callable[[Envelope], None], gap: Callable[[], None]) -> None:
        """From now on `receive` gets what others send, and `gap` is called when something that
        was meant for this node may not have come."""

    @property
    def shared(self) -> bool:
        """Whether there may be other nodes."""

    @property
    def others(self) -> int:
        """How many other nodes there are, as far as is known here."""

    async def settled(self) -> None:
        """Waits until every other node that is alive has handled all that this one has sent so
        far, or is known to be dead. What is read from the store after this has seen everything
        that another node committed before it knew of what was sent."""

    async def check_up(self) -> Checkup | None:
        """Looks at the server between the nodes; None where there is none."""

    @property
    def problem(self) -> str | None:
        """Why other nodes may not hear this one, in one sentence; None where all is well."""
