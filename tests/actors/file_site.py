"""Files on a real database and a real storage, without doors in front of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from actors.archive import Archive
from actors.counters import Counters
from actors.files import Files
from actors.storage import Storage
from actors.supervisor import Supervisor
from anmei.commands import Outcome
from anmei.principal import USER, Principal
from anmei.settings import Settings
from db.store import Store


class Nobody:
    """Listens to the archive, and needs nothing of it."""

    def apply(self, outcome: Outcome) -> None:
        pass

    def gap(self) -> None:
        pass


class FileSite:
    """One database and one storage; `node()` is one more node on both."""

    def __init__(self, store: Store, storage: Storage) -> None:
        self.store = store
        self.storage = storage
        self.counters = Counters()
        self.supervisor = Supervisor(self.counters)
        self.archive = Archive(store, batch=100, queue=1_000, counters=self.counters)
        self.supervisor.start("archive", lambda: self.archive.run(Nobody()))

    def node(self, **settings: Any) -> Files:
        return Files(Settings(**settings), self.storage, self.store, self.archive, self.supervisor)


@asynccontextmanager
async def file_site(url: str, storage: Storage) -> AsyncIterator[FileSite]:
    store = await asyncio.to_thread(Store, url, readers=1, timeout_ms=30_000)
    await asyncio.to_thread(store.open)
    await asyncio.to_thread(storage.open)
    site = FileSite(store, storage)
    try:
        yield site
    finally:
        await site.supervisor.stop()
        await asyncio.to_thread(store.close)
        await asyncio.to_thread(storage.close)


def somebody(user_id: str, *roles: str) -> Principal:
    return Principal("acme", user_id, frozenset(roles or (USER,)), user_id.title(), 2**33)


async def upload(files: Files, owner: Principal, data: bytes, given: str | None = None) -> str:
    """A finished file; its id."""
    made = await files.create(owner, len(data), given)
    incoming = await files.receive(owner, made["id"], 0, None)
    await incoming.feed(data)
    await incoming.finish()
    return str(made["id"])


async def contents(files: Files, owner: Principal, id: str) -> bytes:
    found = await files.find(owner, id)
    reader = await files.reader(found, 0, found["size"])
    data = b""
    while piece := await files.work(reader.read, 1_000_000):
        data += piece
    reader.close()
    return data
