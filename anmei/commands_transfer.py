"""Commands that bring back an exported conversation.

Until its last line is there a conversation that is being imported has another key, which no id can
make, and nobody is in it: nobody sees half of it, and the same file goes on where it stopped.
"""

from typing import Any

import msgspec


def import_key(key: str) -> str:
    """Under which the conversation of this key is put together."""
    return key + "!import"


class ImportedPerson(msgspec.Struct):
    """Somebody who is, or was, in it. Times are ms since 1970."""

    user_key: str
    name: str
    role: str
    active: bool
    joined_at: int
    joined_seq: int
    left_at: int | None
    last_delivered_seq: int
    last_read_seq: int


class ImportedReaction(msgspec.Struct):
    """Somebody's reaction to a message of the conversation."""

    message_id: str
    user_key: str
    emoji: str
    created_at: int


class BeginImport(msgspec.Struct):
    """Make room for a conversation. Reply: `{"state": "new" | "resumed" | "complete"}`.

    `complete` where this very conversation is there already; another one that has its id is a
    `conflict`.
    """

    key: str
    kind: str
    title: str | None
    owner_key: str
    created_at: int

    @property
    def conversation_key(self) -> str:
        return import_key(self.key)


class ImportPeople(msgspec.Struct):
    """Add people. Reply: `{}`. Those who are there already become what this says."""

    conversation_key: str
    people: tuple[ImportedPerson, ...]
    at: int


class ImportMessages(msgspec.Struct):
    """Add messages and reactions to them. Reply: `{"added": n}`. Those that are there already stay,
    or become what this says where their `change_seq` is another one; an id of a message of another
    conversation is a `conflict`."""

    conversation_key: str
    #: By the names of their columns; JSON is text and times are ms since 1970.
    messages: tuple[dict[str, Any], ...]
    reactions: tuple[ImportedReaction, ...]


class EndImport(msgspec.Struct):
    """Everything is there: the conversation becomes one. Reply: `{}`. Doing it again does nothing.

    Not as many rows as the file counts, or another direct one of the same two people, is a
    `conflict`.
    """

    key: str
    title: str | None
    updated_at: int
    last_seq: int
    change_seq: int
    meta_seq: int
    participants: int
    messages: int

    @property
    def conversation_key(self) -> str:
        return import_key(self.key)


TransferCommand = BeginImport | ImportPeople | ImportMessages | EndImport
