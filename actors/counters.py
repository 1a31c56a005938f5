"""What is counted. Plain numbers, since some are counted on the path of every message; the
metrics page reads them when it is asked."""

from collections import Counter


class Counters:
    """Totals of one process since it started. Every label set is closed: codes are enumerations."""

    __slots__ = (
        "archive_batches",
        "archive_writes",
        "bus_bytes",
        "bus_connects",
        "bus_dropped",
        "bus_envelopes",
        "bus_failures",
        "bus_gaps",
        "bus_publishes",
        "bus_received",
        "bus_refused",
        "bus_repeats",
        "bus_unheard",
        "closes",
        "connections",
        "crashes",
        "deliveries",
        "duplicates",
        "encodes",
        "errors",
        "flushes",
        "frames",
        "holes",
        "indexed",
        "late",
        "messages",
        "outside",
        "outside_refused",
        "previews",
        "previews_dropped",
        "previews_failed",
        "replayed",
        "resends",
        "resets",
        "shed",
        "store_failures",
    )

    def __init__(self) -> None:
        #: Connections that were accepted and authenticated.
        self.connections = 0
        #: Connections that ended, by close code.
        self.closes: Counter[int] = Counter()
        #: Frames that came in, and errors answered to them by error code.
        self.frames = 0
        self.errors: Counter[str] = Counter()
        #: Messages acknowledged, and how many of them were repeats of a stored one.
        self.messages = 0
        self.duplicates = 0
        #: Transactions of the archive and the writes in them.
        self.archive_batches = 0
        self.archive_writes = 0
        self.store_failures = 0
        #: Messages entered into the search index.
        self.indexed = 0
        #: Events encoded for delivery, deliveries to devices, and flushes that carried them.
        self.encodes = 0
        self.deliveries = 0
        self.flushes = 0
        #: Typing and presence events left out because a device's queue was half full.
        self.shed = 0
        #: Numbers that were missing at a sequencer and read from the store; events dropped as late.
        self.holes = 0
        self.late = 0
        #: Events replayed to devices that had missed them; conversations answered with a reset.
        self.replayed = 0
        self.resets = 0
        #: Replays to live devices that had not acknowledged what they were sent.
        self.resends = 0
        #: Supervised tasks that ended with an exception. Stays 0 where all is well.
        self.crashes = 0
        #: Envelopes to other nodes, the publishes that carried them, and their bytes; publishes
        #: that failed, that no connection heard, and envelopes for which there was no room.
        self.bus_envelopes = 0
        self.bus_publishes = 0
        self.bus_bytes = 0
        self.bus_failures = 0
        self.bus_unheard = 0
        self.bus_dropped = 0
        #: Packets of other nodes that came; those that came before, and those that are forged.
        self.bus_received = 0
        self.bus_repeats = 0
        self.bus_refused = 0
        #: Subscriptions that began, and gaps that were announced.
        self.bus_connects = 0
        self.bus_gaps = 0
        #: Messages of backends that were delivered, and those that were refused.
        self.outside = 0
        self.outside_refused = 0
        #: Link previews that were made, links of which there was none, and those that found no
        #: room to wait.
        self.previews = 0
        self.previews_failed = 0
        self.previews_dropped = 0
