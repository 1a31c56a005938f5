"""The bookkeeping behind "nothing is lost unseen": which packets of whom have come.

Every packet has a running number per sender and channel, so one that is missing is noticed when
the next one comes, and the heartbeats name the last ones sent, so it is noticed even when none
comes. What came is never handed on twice; what comes late is dropped, since its loss was announced
already and the store has been asked.
"""

from collections import OrderedDict
from enum import Enum


class Taken(Enum):
    """What a packet is."""

    #: The next one of its channel.
    NEXT = "next"
    #: New, but one or more before it are missing.
    AFTER_LOSS = "after a loss"
    #: One that came before, or whose loss was announced: not to be handed on.
    OLD = "old"


class _Line:
    """What came from one sender."""

    __slots__ = ("hurt", "losses", "to_all", "to_me", "untold", "whole")

    def __init__(self, to_all: int = 0, to_me: int = 0) -> None:
        #: The highest numbers that came.
        self.to_all = to_all
        self.to_me = to_me
        #: What was sent to all and is known here without a hole, up to this number.
        self.whole = 0
        self.hurt = False
        self.losses = 0
        #: It was forgotten and is back, and nobody has been told of that loss.
        self.untold = False

    def lose(self) -> None:
        self.hurt = True
        self.losses += 1


class Numbers:
    """Keeps at most `most` senders, and of as many that were forgotten only where they stopped, so
    that their old packets stay old."""

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._gone: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def take(self, sender: str, number: int, *, to_all: bool) -> Taken:
        """A packet came; whether it may be handed on, and whether some before it are missing."""
        line = self._lines.get(sender) or self._meet(sender)
        last = line.to_all if to_all else line.to_me
        if number <= last:
            return Taken.OLD
        lost = number > last + 1
        if to_all:
            line.to_all = number
            if lost:
                line.lose()
            if not line.hurt:
                line.whole = number
        else:
            line.to_me = number
        told, line.untold = line.untold, False
        return Taken.AFTER_LOSS if lost or told else Taken.NEXT

    def beat(self, sender: str, to_me: int) -> bool:
        """A heartbeat names the last number that was sent to this node alone; True where
        something up to it has not come. (What went to all shows by the heartbeat's own number.)
        """
        line = self._lines.get(sender) or self._meet(sender)
        if to_me <= line.to_me:
            return False
        line.to_me = to_me
        return True

    def vector(self) -> dict[str, int]:
        """By sender: everything it sent to all, up to this number, is known here."""
        return {sender: line.whole for sender, line in self._lines.items()}

    def whole(self, sender: str) -> int:
        """The same for one sender; 0 for one that is not known."""
        line = self._lines.get(sender)
        return 0 if line is None else line.whole

    def losses(self, sender: str) -> int:
        """How often something from `sender` was lost; what `mended` is told."""
        line = self._lines.get(sender)
        return 0 if line is None else line.losses

    def mended(self, sender: str, losses: int) -> bool:
        """What was lost is known by another way. False, and nothing done, where more was lost
        since `losses` was asked for."""
        line = self._lines.get(sender)
        if line is None or line.losses != losses:
            return False
        line.hurt = False
        line.whole = line.to_all
        return True

    def forget(self, sender: str) -> None:
        """The sender is dead; should it come back, it counts as having lost something."""
        line = self._lines.pop(sender, None)
        if line is not None:
            self._bury(sender, line)

    def __len__(self) -> int:
        return len(self._lines)

    def _meet(self, sender: str) -> _Line:
        line = _Line(*self._gone.get(sender, (0, 0)))
        if self._gone.pop(sender, None) is not None:
            line.lose()
            line.untold = True
        while len(self._lines) >= self._most:
            self._bury(*self._lines.popitem(last=False))
        self._lines[sender] = line
        return line

    def _bury(self, sender: str, line: _Line) -> None:
        self._gone[sender] = (line.to_all, line.to_me)
        self._gone.move_to_end(sender)
        while len(self._gone) > self._most:
            self._gone.popitem(last=False)
