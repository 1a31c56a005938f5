"""Reading a conversation out, a page at a time, however long it is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from anmei.errors import not_found
from anmei.transfer import Writer
from db import queries

PAGE = 100  # messages, with texts of at most some megabytes together
PEOPLE = 500
REACTIONS = 1_000

#: `read(query, *args)` of `db.queries`.
Read = Callable[..., Awaitable[Any]]


async def export(read: Read, key: str) -> AsyncIterator[tuple[bytes, int]]:
    """Whole lines of the conversation's file, and how many of them are people or messages; the
    first is the head alone.

    Raises AnmeiError where there is no such conversation. Every message that was there at the
    beginning is in it once, as it is when its page is read; newer ones are not.
    """
    head = await read(queries.export_head, key)
    if head is None:
        raise not_found("conversation")
    writer = Writer()
    yield writer.head(**head), 0
    last_user = ""
    while people := await read(queries.export_people, key, last_user, PEOPLE):
        last_user = people[-1][0]
        lines = [writer.line("participant", fields) for _, fields in people]
        yield b"".join(lines), len(lines)
    seq = 0
    while messages := await read(queries.export_messages, key, seq, head["last_seq"], PAGE):
        seq = messages[-1]["seq"]
        lines = []
        for message in messages:
            del message["conversation_id"]
            lines.append(writer.line("message", message))
            if message["reactions"]:
                yield b"".join(lines), 0
                lines = []
                async for reactions in _reactions(read, message["id"], writer):
                    yield reactions, 0
        yield b"".join(lines), len(messages)
    yield writer.end(), 0


async def _reactions(read: Read, message_id: str, writer: Writer) -> AsyncIterator[bytes]:
    place = ("", 0)
    while found := await read(queries.export_reactions, message_id, place, REACTIONS):
        place = found[-1][0]
        yield b"".join(writer.line("reaction", fields) for _, fields in found)
