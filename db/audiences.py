"""Who is in which conversation, remembered by the writer."""

from collections import OrderedDict

from anmei.commands import Audience

#: A member of a remembered audience takes about 100 bytes (its key, which conversations share
#: only by chance, and its place in the set).
MAX_MEMBERS = 1_000_000


class Audiences:
    """The audiences used last, bounded by the number of members in all of them together.

    What a transaction has read or changed is kept aside until it is committed: rolled back, its
    version numbers will be given again, to other members.
    """

    def __init__(self, max_members: int = MAX_MEMBERS) -> None:
        self._max_members = max_members
        self._kept: OrderedDict[int, Audience] = OrderedDict()
        self._members = 0
        self._pending: dict[int, Audience] = {}

    def get(self, conversation: int, version: int) -> Audience | None:
        """The audience of the conversation with this primary key, if it is that version."""
        audience = self._pending.get(conversation)
        if audience is None:
            audience = self._kept.get(conversation)
            if audience is not None:
                self._kept.move_to_end(conversation)
        return audience if audience is not None and audience.version == version else None

    def put(self, conversation: int, audience: Audience) -> None:
        """Remember, from the commit on."""
        self._pending[conversation] = audience

    def keep(self) -> None:
        """The transaction was committed."""
        for conversation, audience in self._pending.items():
            self._forget(conversation)
            self._kept[conversation] = audience
            self._members += len(audience.members)
        self._pending.clear()
        while self._members > self._max_members and self._kept:
            self._forget(next(iter(self._kept)))

    def discard(self) -> None:
        """The transaction was rolled back, or nobody knows."""
        self._pending.clear()

    def _forget(self, conversation: int) -> None:
        audience = self._kept.pop(conversation, None)
        if audience is not None:
            self._members -= len(audience.members)
