"""Bringing an exported conversation back, numbers, times, receipts and all."""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from anmei.bodies import check_body
from anmei.clock import from_wire, now_ms
from anmei.codec import check_metadata, encode
from anmei.commands import Command
from anmei.commands_transfer import (
    BeginImport,
    EndImport,
    ImportedPerson,
    ImportedReaction,
    ImportMessages,
    ImportPeople,
    import_key,
)
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import make_key
from anmei.transfer import Head, Person, Reaction, Sent, read
from db import queries
from db.store import Store

BATCH = 500  # lines
BATCH_BYTES = 4 * 1024 * 1024  # of what they say

#: Told how many people and messages more were dealt with.
Progress = Callable[[int], None]
Line = Person | Sent | Reaction


class Importer:
    """Brings one file into one store. Blocks: it is for the command line.

    `file` is read twice: nothing is written before all of it was found good. A file that was
    begun before goes on where it stopped, and one that is there already adds nothing.
    """

    def __init__(self, store: Store, tenant: str, file: BinaryIO) -> None:
        self._store = store
        self._tenant = tenant
        self._file = file
        self.head = self._first()
        self._key = make_key(tenant, self.head.conversation_id)
        #: The highest number of the conversation; a message that was changed while it was
        #: exported has a higher one than the head.
        self._change_seq = self.head.change_seq
        self._people = 0
        self._messages = 0

    def check(self, progress: Progress) -> None:
        """Raises AnmeiError, with the number of the line, for a file that is not as it was
        written."""
        for _, lines in self._batches():
            for line in lines:
                self._people += isinstance(line, Person)
                if isinstance(line, Sent):
                    self._messages += 1
                    self._change_seq = max(self._change_seq, line.change_seq, line.seq)
            progress(_counted(lines))

    def write(self, progress: Progress) -> int:
        """How many messages were added. `check` comes first."""
        head = self.head
        state = self._do(
            BeginImport(
                key=self._key,
                kind=head.kind,
                title=head.title,
                owner_key=make_key(self._tenant, head.owner_id),
                created_at=from_wire(head.created_at),
            )
        )["state"]
        added = 0
        for number, lines in self._batches():
            try:
                if state == "complete":
                    self._find(lines)
                else:
                    added += self._add(lines)
            except AnmeiError as error:
                first = number - len(lines) + 1
                raise AnmeiError(
                    error.code, f"lines {first} to {number}: {error.message}"
                ) from None
            progress(_counted(lines))
        if state != "complete":
            self._do(
                EndImport(
                    key=self._key,
                    title=head.title,
                    updated_at=from_wire(head.updated_at),
                    last_seq=head.last_seq,
                    change_seq=self._change_seq,
                    meta_seq=head.meta_seq,
                    participants=self._people,
                    messages=self._messages,
                )
            )
        return added

    def _first(self) -> Head:
        self._file.seek(0)
        for _, line in read(self._file):
            if isinstance(line, Head):
                return line
        raise AssertionError("the first line is a head, or read() raises")

    def _batches(self) -> Iterator[tuple[int, list[Line]]]:
        """The lines behind the head, some at a time, and the number of the last of them."""
        self._file.seek(0)
        lines: list[Line] = []
        room = BATCH_BYTES
        number = 0
        for number, line in read(self._file):
            if isinstance(line, Head):
                continue
            lines.append(line)
            if isinstance(line, Sent):
                room -= len(line.content) + len(bytes(line.body))
            if len(lines) >= BATCH or room < 0:
                yield number, lines
                lines, room = [], BATCH_BYTES
        if lines:
            yield number, lines

    def _add(self, lines: list[Line]) -> int:
        people = tuple(self._person(line) for line in lines if isinstance(line, Person))
        messages = tuple(self._message(line) for line in lines if isinstance(line, Sent))
        reactions = tuple(
            ImportedReaction(
                message_id=line.message_id,
                user_key=make_key(self._tenant, line.user_id),
                emoji=line.emoji,
                created_at=from_wire(line.created_at),
            )
            for line in lines
            if isinstance(line, Reaction)
        )
        key = import_key(self._key)
        added = 0
        if people:
            self._do(ImportPeople(key, people, now_ms()))
        if messages or reactions:
            added = self._do(ImportMessages(key, messages, reactions))["added"]
        return added

    def _find(self, lines: list[Line]) -> None:
        """Raises AnmeiError where a message is not in the conversation that is there already."""
        ids = [line.id for line in lines if isinstance(line, Sent)]
        here = self._store.read(queries.are_in, self._key, ids).result()
        for id in ids:
            if id not in here:
                raise AnmeiError(
                    ErrorCode.CONFLICT,
                    f"the conversation {self.head.conversation_id} is there already, without "
                    f"{id}: an import brings a conversation back, it does not merge two",
                )

    def _person(self, line: Person) -> ImportedPerson:
        return ImportedPerson(
            user_key=make_key(self._tenant, line.user_id),
            name=line.name,
            role=line.role,
            active=line.active,
            joined_at=from_wire(line.joined_at),
            joined_seq=line.joined_seq,
            left_at=_time(line.left_at),
            last_delivered_seq=min(line.last_delivered_seq, self.head.last_seq),
            last_read_seq=min(line.last_read_seq, self.head.last_seq),
        )

    def _message(self, line: Sent) -> dict[str, Any]:
        recalled = line.recalled_at is not None
        plain = ("id", "seq", "change_seq", "sender_id", "sender_name", "sender_type", "content")
        more = ("message_type", "is_important", "priority", "reply_to", "client_msg_id")
        return {
            **{name: getattr(line, name) for name in (*plain, *more, "pinned_by")},
            "sender_key": make_key(self._tenant, line.sender_id),
            "extra_metadata": check_metadata(line.extra_metadata),
            "body": None if recalled else check_body(line.message_type, line.body, privileged=True),
            "link_preview": _json(line.link_preview),
            "mentions": _json(line.mentions),
            "forwarded_from": _json(line.forwarded_from),
            "reactions": _json(
                [
                    {"emoji": one.emoji, "count": one.count, "user_ids": one.user_ids}
                    for one in line.reactions
                ]
            ),
            "created_at": from_wire(line.created_at),
            "edited_at": _time(line.edited_at),
            "recalled_at": _time(line.recalled_at),
            "pinned_at": _time(line.pinned_at),
        }

    def _do(self, command: Command) -> dict[str, Any]:
        (outcome,) = self._store.write([command]).result()
        if outcome.error is not None:
            raise outcome.error
        return outcome.reply or {}


def _counted(lines: list[Line]) -> int:
    return sum(not isinstance(line, Reaction) for line in lines)


def _time(text: str | None) -> int | None:
    return None if text is None else from_wire(text)


def _json(value: object) -> str | None:
    return encode(value).decode() if value else None
