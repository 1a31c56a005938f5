"""`run.py export` and `run.py import`: one conversation, to a file and back."""

import argparse
import asyncio
import os
import sys
from typing import Any, BinaryIO

from actors.exporter import export
from actors.importer import Importer
from actors.progress import Progress
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import ID_WORDS, is_id, make_key
from db import queries
from db.store import Store


def add_arguments(commands: Any) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The two commands and their arguments, added to those of `ArgumentParser.add_subparsers`."""
    out = commands.add_parser("export", help="write a conversation to a file")
    out.add_argument("--conversation", required=True, metavar="ID")
    out.add_argument("--tenant", default="default")
    out.add_argument("--out", default="-", metavar="FILE", help="where to; - is standard output")
    back = commands.add_parser("import", help="bring an exported conversation back")
    back.add_argument("file", metavar="FILE")
    back.add_argument("--tenant", default="default")
    return out, back


def export_to(store: Store, tenant: str, conversation_id: str, out: str) -> str:
    """Writes the conversation to the file `out` (`-`: standard output), which is there only when
    it is whole, and says what was done."""
    _check_ids(tenant, conversation_id)
    key = make_key(tenant, conversation_id)
    if out == "-":
        count = asyncio.run(_export(store, key, sys.stdout.buffer))
        sys.stdout.buffer.flush()
    else:
        partial = out + ".partial"
        try:
            with open(partial, "wb") as file:
                count = asyncio.run(_export(store, key, file))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, out)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)
    return f"{conversation_id}: {count} people and messages exported"


def import_from(store: Store, tenant: str, path: str) -> str:
    """Brings the conversation in the file back, and says what was done."""
    _check_ids(tenant)
    with open(path, "rb") as file:
        importer = Importer(store, tenant, file)
        total = importer.head.participants + importer.head.messages
        with Progress("checking", total, sys.stderr) as progress:
            importer.check(progress.add)
        with Progress("importing", total, sys.stderr) as progress:
            added = importer.write(progress.add)
    return f"{importer.head.conversation_id}: {added} messages imported"


async def _export(store: Store, key: str, file: BinaryIO) -> int:
    async def read(query: Any, *args: Any) -> Any:
        return await asyncio.wrap_future(store.read(query, *args))

    head = await read(queries.export_head, key)
    if head is None:
        raise not_found("conversation")
    done = 0
    with Progress("exporting", head["participants"] + head["messages"], sys.stderr) as progress:
        async for lines, count in export(read, key):
            file.write(lines)
            done += count
            progress.add(count)
    return done


def _check_ids(*ids: str) -> None:
    for id in ids:
        if not is_id(id):
            raise AnmeiError(ErrorCode.BAD_REQUEST, f"{ascii(id[:64])}: expected {ID_WORDS}")
