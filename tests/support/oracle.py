"""The oracle: who sent what, what was acknowledged, who saw what, and whether all that is true.

It judges the invariants of a run in which things broke:

I1  no acknowledged message is lost
I2  nothing comes that nobody sent
I3  nothing is twice in the history, and nothing is shown twice to an observer
I4  every observer of a conversation sees the same messages in the same order, without a gap
I5  what was never acknowledged is absent, or present once; a retry finds the same message and seq
"""

from collections import defaultdict
from typing import Any

Message = dict[str, Any]


class Oracle:
    """Told of everything while a test runs, and asked for its judgement at the end."""

    def __init__(self) -> None:
        #: Contents by (conversation, sender, client_msg_id), noted before they are sent.
        self._sent: dict[tuple[str, str, str], str] = {}
        #: (message id, seq) by the same.
        self._acked: dict[tuple[str, str, str], tuple[str, int]] = {}
        #: By observer and conversation: what was shown, in the order it was shown.
        self._seen: dict[str, dict[str, list[Message]]] = defaultdict(lambda: defaultdict(list))
        self.retries = 0

    @property
    def acknowledged(self) -> int:
        """How many messages were acknowledged so far."""
        return len(self._acked)

    def sending(self, conversation_id: str, sender: str, client_msg_id: str, content: str) -> None:
        self._sent[conversation_id, sender, client_msg_id] = content

    def unacknowledged(self) -> list[tuple[str, str, str, str]]:
        """(conversation, sender, client_msg_id, content) of all that nobody vouches for yet."""
        return [(*key, text) for key, text in self._sent.items() if key not in self._acked]

    def acked(self, conversation_id: str, sender: str, client_msg_id: str, ack: Message) -> None:
        """An acknowledgement; a second one for the same must say the same (I5)."""
        key = conversation_id, sender, client_msg_id
        said = ack["message_id"], ack["seq"]
        if key in self._acked:
            self.retries += 1
        assert self._acked.setdefault(key, said) == said, (
            f"{key} was acknowledged as {self._acked[key]}, and now as {said}"
        )

    def saw(self, observer: str, message: Message) -> None:
        self._seen[observer][message["conversation_id"]].append(message)

    def head(self, observer: str, conversation_id: str) -> int:
        """The last `seq` that an observer was shown."""
        shown = self._seen[observer][conversation_id]
        return shown[-1]["seq"] if shown else 0

    def judge(self, conversation_id: str, history: list[Message]) -> None:
        """Everything about one conversation, by its whole history as a fresh client reads it."""
        found: dict[tuple[str, str, str], Message] = {}
        for message in history:
            key = conversation_id, message["sender_id"], message["client_msg_id"]
            assert self._sent.get(key) == message["content"], f"I2: nobody sent {message}"
            assert key not in found, f"I3: twice in the history: {message} and {found[key]}"
            found[key] = message
        for key, (message_id, seq) in self._acked.items():
            if key[0] != conversation_id:
                continue
            assert key in found, f"I1: acknowledged as {message_id}, {seq}, and lost: {key}"
            stored = found[key]
            assert (stored["id"], stored["seq"]) == (message_id, seq), (
                f"I1: acknowledged as {message_id}, {seq}, and stored as {stored}"
            )
        order = [(message["seq"], message["id"]) for message in history]
        numbers = [seq for seq, _ in order]
        first = numbers[0] if numbers else 1
        assert numbers == list(range(first, first + len(numbers))), f"I4: gaps in {numbers}"
        for observer, conversations in self._seen.items():
            shown = conversations.get(conversation_id, [])
            if not shown and not history:
                continue
            seen = [(message["seq"], message["id"]) for message in shown]
            assert len(set(seen)) == len(seen), f"I3: {observer} was shown a message twice: {seen}"
            assert seen == order, (
                f"I4: {observer} saw another history of {conversation_id}: "
                f"missing {sorted(set(order) - set(seen))}, more {sorted(set(seen) - set(order))}"
            )
