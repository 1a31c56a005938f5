"""What goes out while a conversation is replayed to a device, and waits behind the replay."""

from collections import deque

from anmei.event import Event


class Held:
    """Events of one conversation, with their `change_seq`, that wait behind its replay."""

    __slots__ = ("bytes", "events", "overflown")

    def __init__(self) -> None:
        self.events: deque[tuple[int, Event]] = deque()
        self.bytes = 0
        #: Set when the bound was reached: the events were let go, and the replay reads on instead.
        self.overflown = False
