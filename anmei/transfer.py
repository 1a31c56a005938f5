"""A conversation as a file: one JSON object a line, the same bytes for the same conversation.

    {"type": "conversation", …}     what it is, and how many lines follow
    {"type": "participant", …}      everybody who is or was in it, by user id
    {"type": "message", …}          by `seq`, each followed by its
    {"type": "reaction", …}         lines
    {"type": "end", …, "sha256"}    the counts, and the SHA-256 of every byte before this line

Without the last line a file was cut, and whoever reads it notices.
"""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Literal

import msgspec
from msgspec import Meta

from anmei.bodies import check_body
from anmei.clock import from_wire
from anmei.codec import check_metadata, encode, explain
from anmei.content import check_content
from anmei.errors import AnmeiError, ErrorCode
from anmei.frames import ClientId, Id, Mention, MessageType, Priority, Seq

FORMAT = "anmei.conversation"
VERSION = 1
#: Of a message of the longest `content` that may be set, each byte of it written as six.
MAX_LINE_BYTES = 8 * 1_048_576
MAX_NAME_BYTES = 4_096

_TIMES = (
    *("created_at", "updated_at", "joined_at", "left_at"),
    *("edited_at", "recalled_at", "pinned_at"),
)
#: What a recalled message has none of, besides `body` and `extra_metadata`.
_SAID = ("content", "link_preview", "mentions", "forwarded_from", "reactions", "pinned_at")

Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$(?!\n)")]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Role = Annotated[str, Meta(pattern=r"^[a-z]{1,32}$(?!\n)")]
Emoji = Annotated[str, Meta(min_length=1, max_length=64)]


class Line(msgspec.Struct, tag_field="type", forbid_unknown_fields=True):
    """What every line has: a type. A field that is not known would be lost, so it is refused."""


class Head(Line, tag="conversation"):
    """The first line."""

    format: Literal["anmei.conversation"]
    version: Literal[1]
    conversation_id: Id
    kind: Literal["direct", "group", "consultation", "system"]
    title: str | None
    owner_id: Id
    created_at: Time
    updated_at: Time
    last_seq: Seq
    change_seq: Seq
    #: The number of the last change to the conversation itself.
    meta_seq: Seq
    #: How many were there when the export began.
    participants: Count
    messages: Count


class Person(Line, tag="participant"):
    """Somebody who is in it, or, where not `active`, was."""

    user_id: Id
    name: str
    role: Role
    active: bool
    joined_at: Time
    joined_seq: Seq
    left_at: Time | None
    last_delivered_seq: Seq
    last_read_seq: Seq


class Summed(msgspec.Struct, forbid_unknown_fields=True):
    """One emoji of a message's `reactions`."""

    emoji: Emoji
    count: Count
    user_ids: list[Id]


class Sent(Line, tag="message"):
    """A message as the wire shows it, without the conversation's id."""

    id: Id
    seq: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    change_seq: Seq
    sender_id: Id
    sender_name: str
    sender_type: Literal["chat", "system"]
    message_type: MessageType
    content: str
    is_important: bool
    priority: Priority
    reply_to: Id | None
    extra_metadata: msgspec.Raw
    body: msgspec.Raw
    link_preview: dict[str, str | None] | None
    client_msg_id: ClientId
    created_at: Time
    edited_at: Time | None
    recalled_at: Time | None
    mentions: list[Mention]
    forwarded_from: dict[str, str | None] | None
    reactions: list[Summed]
    pinned_at: Time | None
    pinned_by: Id | None


class Reaction(Line, tag="reaction"):
    """Somebody's reaction to the message before it."""

    message_id: Id
    user_id: Id
    emoji: Emoji
    created_at: Time


class End(Line, tag="end"):
    """The last line: what stands before it."""

    participants: Count
    messages: Count
    reactions: Count
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]


AnyLine = Head | Person | Sent | Reaction | End

_lines: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


class Writer:
    """Makes the lines of one file."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._counts = {"participant": 0, "message": 0, "reaction": 0}

    def head(self, **fields: Any) -> bytes:
        return self._add({"type": "conversation", "format": FORMAT, "version": VERSION, **fields})

    def line(self, type: str, fields: dict[str, Any]) -> bytes:
        self._counts[type] += 1
        return self._add({"type": type, **fields})

    def end(self) -> bytes:
        return self._add(
            {
                "type": "end",
                **{f"{type}s": count for type, count in self._counts.items()},
                "sha256": self._hash.hexdigest(),
            }
        )

    def _add(self, value: dict[str, Any]) -> bytes:
        line = encode(value) + b"\n"
        self._hash.update(line)
        return line


def read(file: BinaryIO) -> Iterator[tuple[int, Head | Person | Sent | Reaction]]:
    """Every line but the last, checked, with its number. Raises AnmeiError that names the line
    and what was expected there; where it ends without one, the file is whole."""
    found = hashlib.sha256()
    counts = {Person: 0, Sent: 0, Reaction: 0}
    head: Head | None = None
    before: Person | Sent | None = None
    number = 0
    while True:
        number += 1
        text = file.readline(MAX_LINE_BYTES + 1)
        line = _read_line(number, text)
        if (head is None) != isinstance(line, Head):
            raise _bad(number, f"expected {'no other' if head else 'first'} a conversation line")
        if isinstance(line, End):
            break
        found.update(text)
        if isinstance(line, Head):
            head = line
            yield number, line
            continue
        if isinstance(line, Reaction):
            if not isinstance(before, Sent) or before.id != line.message_id:
                raise _bad(number, "a reaction stands behind its message")
        elif not _is_next(before, line):
            raise _bad(number, "participants come first, by user_id, then messages, by seq")
        else:
            before = line
        counts[type(line)] += 1
        yield number, line
    if (line.participants, line.messages, line.reactions) != tuple(counts.values()):
        raise _bad(number, f"it counts other lines than the {number - 2} before it")
    if line.sha256 != found.hexdigest():
        raise _bad(number, "sha256 is not that of the lines before it: the file was changed")
    if file.read(1):
        raise _bad(number + 1, "nothing stands behind the end line")


def _read_line(number: int, text: bytes) -> AnyLine:
    if not text:
        raise _bad(number, "the file ends without its end line: it was cut")
    if len(text) > MAX_LINE_BYTES:
        raise _bad(number, f"at most {MAX_LINE_BYTES} bytes are allowed")
    if not text.endswith(b"\n"):
        raise _bad(number, "the file ends within the line: it was cut")
    try:
        line = _lines.decode(text)
        _check(line)
    except AnmeiError as error:
        raise _bad(number, error.message) from None
    except (ValueError, RecursionError) as error:
        raise _bad(number, f"expected a line of an export: {explain(error)}") from None
    return line


def _check(line: AnyLine) -> None:
    """What the types do not say. Raises AnmeiError or ValueError."""
    for field in _TIMES:
        text = getattr(line, field, None)
        if text is not None:
            from_wire(text)
    for field in ("title", "name", "sender_name", "emoji"):
        check_content(getattr(line, field, None) or "", MAX_NAME_BYTES, field)
    if isinstance(line, Sent):
        check_content(line.content, MAX_LINE_BYTES)
        check_metadata(line.extra_metadata)
        if line.recalled_at is None:
            check_body(line.message_type, line.body, privileged=True)
        elif any(getattr(line, field) for field in _SAID) or not (
            bytes(line.body) == bytes(line.extra_metadata) == b"null"
        ):
            raise ValueError("a recalled message holds nothing any more")


def _is_next(before: Person | Sent | None, line: Person | Sent) -> bool:
    if before is None:
        return isinstance(line, Person)
    if isinstance(line, Person):
        return isinstance(before, Person) and before.user_id < line.user_id
    return isinstance(before, Person) or before.seq < line.seq


def _bad(number: int, message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, f"line {number}: {message}")
