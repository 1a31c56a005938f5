"""What a client holds of its conversations, kept as the protocol page says, and strict about it."""

from typing import Any

Data = dict[str, Any]


class Replica:
    """The messages and positions of one device. Fails where an event breaks the rules."""

    def __init__(self) -> None:
        #: By conversation: the highest `change_seq` that is held.
        self.positions: dict[str, int] = {}
        #: By conversation: messages above this are all there; a reset lets the rest go.
        self.floors: dict[str, int] = {}
        self.messages: dict[str, Data] = {}
        self.resets = 0

    def know(self, conversation_id: str, position: int = 0) -> None:
        """From now on the conversation is held, above `position`."""
        self.positions[conversation_id] = self.floors[conversation_id] = position

    def begin(self, complete: dict[str, Data]) -> None:
        """What `sync_complete` said, before the events in front of it are taken."""
        for conversation_id, line in complete.items():
            if line["reset"]:
                self.resets += 1
                self.know(conversation_id, line["from"])
                self.messages = {
                    id: message
                    for id, message in self.messages.items()
                    if message["conversation_id"] != conversation_id
                }

    def end(self, complete: dict[str, Data]) -> None:
        """The same, behind them."""
        for conversation_id, line in complete.items():
            self.positions[conversation_id] = max(self.positions[conversation_id], line["to"])

    def take(self, type: str, data: Any) -> None:
        """An event; those that are not of a conversation that is held are passed over."""
        if not isinstance(data, dict) or "change_seq" not in data:
            return
        conversation_id = data.get("conversation_id")
        if conversation_id not in self.positions:
            return
        if type not in ("new_message", "message_updated", "conversation_updated"):
            return
        # What it says of the event is no part of the message.
        data = {name: value for name, value in data.items() if name != "after_change_seq"}
        assert data["change_seq"] > self.positions[conversation_id], (type, data)
        self.positions[conversation_id] = data["change_seq"]
        if type == "new_message":
            assert data["id"] not in self.messages, (type, data)
            self.messages[data["id"]] = data
        elif type == "message_updated" and data["id"] in self.messages:
            self.messages[data["id"]] = data
        elif type == "message_updated":
            # What it does not hold is older than what it has loaded.
            assert data["seq"] <= self.floors[conversation_id], (type, data)
