"""Senders who have not shown yet that they live now.

A packet is signed by one of our nodes, but that may have been long ago: whoever reads Redis can
keep what was sent to all, and publish it again to a node that has never heard of its sender. What
shows a sender to be alive is a word that only one who has heard of this very node can say, for its
id is a new one each time it starts.
"""

from actors.bus import Envelope
from anmei.envelope import Packet

MOST_HELD = 1_000  # envelopes of all who are doubted

#: What nodes find and prove each other by; it says nothing that is not looked up.
AT_ONCE = ("bus", "presence")


class Doubts:
    """What was sent to all waits here until its sender is believed."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._believed: set[str] = set()
        self._held: dict[str, list[Envelope]] = {}
        self._count = 0

    def admit(self, packet: Packet) -> list[Envelope]:
        """The envelopes that may be handed on now, in order: those of the packet, behind what was
        held, or what cannot wait of one who is doubted still."""
        sender = packet.sender
        if sender in self._believed:
            return packet.envelopes
        if packet.to == self._node_id or any(map(self._proves, packet.envelopes)):
            self._believed.add(sender)
            return self._release(sender) + packet.envelopes
        now = [envelope for envelope in packet.envelopes if envelope["kind"] in AT_ONCE]
        later = [envelope for envelope in packet.envelopes if envelope["kind"] not in AT_ONCE]
        later = later[: MOST_HELD - self._count]
        if later:
            self._count += len(later)
            self._held.setdefault(sender, []).extend(later)
        return now

    def forget(self, sender: str) -> None:
        """The sender is dead, or never was."""
        self._believed.discard(sender)
        self._release(sender)

    def _proves(self, envelope: Envelope) -> bool:
        """A heartbeat that names us."""
        seen = envelope.get("seen")
        return envelope["kind"] == "bus" and isinstance(seen, dict) and self._node_id in seen

    def _release(self, sender: str) -> list[Envelope]:
        held = self._held.pop(sender, [])
        self._count -= len(held)
        return held
