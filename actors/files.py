"""Files: uploads that go on where they stopped, on any node, and what becomes of them.

The database says how much of an upload is there, the storage holds the bytes. A number is written
down only when the bytes below it are safe, so what a crash leaves behind is at most a few bytes too
many, and those are written over.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from actors.archive import Archive
from actors.incoming import LEASE_MS, Incoming
from actors.storage import Reader, Storage, StorageError
from actors.supervisor import Supervisor
from anmei.clock import now_ms
from anmei.commands_files import (
    CreateUpload,
    DropLeases,
    ExpireFiles,
    FileCommand,
    ForgetFiles,
    RemoveFile,
    TakeUpload,
)
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.file_names import clean_name
from anmei.file_types import claimed_type
from anmei.ids import new_id
from anmei.principal import Principal
from anmei.settings import Settings, SettingsError
from anmei.tus import Checksum, metadata
from db import queries
from db.errors import StoreUnavailable
from db.store import Store

SWEEP_PAUSE = 10.0  # seconds between two looks for files whose time has come
SWEPT_AT_ONCE = 100
WRITE_TIMEOUT = 10.0  # seconds that a write may wait for its transaction
HASHES = 1_000  # uploads between two requests whose running hash is remembered

T = TypeVar("T")

log = logging.getLogger("anmei.files")


class Files:
    """All that is done with files on this node."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        store: Store,
        archive: Archive,
        supervisor: Supervisor,
    ) -> None:
        self.storage = storage
        self._settings = settings
        self._store = store
        self._archive = archive
        self._supervisor = supervisor
        self._threads = ThreadPoolExecutor(settings.file_threads, thread_name_prefix="files")
        self._hashes: OrderedDict[str, tuple[int, Any]] = OrderedDict()
        self._incoming: set[Incoming] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def start(self) -> None:
        """Opens the storage; raises SettingsError where it cannot be used. The archive must run."""
        try:
            await self.work(self.storage.open)
        except StorageError as error:
            raise SettingsError(f"ANMEI_FILES: {error}") from None
        if not self._settings.redis_url:
            # Alone: whoever held a lease is a process that is gone.
            await self.commit(DropLeases())
        self._supervisor.start("files", self._sweep)

    async def stop(self) -> None:
        """Waits until what came is saved. The connections are closed by now."""
        await self._quiet.wait()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self.storage.close)

    # What is asked for

    async def create(self, owner: Principal, size: int, given: str | None) -> dict[str, Any]:
        """A new upload of `size` bytes with the `Upload-Metadata` that was given. Raises AnmeiError
        where that is too large, or one too many."""
        settings = self._settings
        if size > settings.limit_file_bytes:
            raise AnmeiError(
                ErrorCode.TOO_LARGE,
                f"Upload-Length: a file may have at most {settings.limit_file_bytes} bytes "
                "(ANMEI_LIMIT_FILE_BYTES)",
            )
        pairs = metadata(given)
        now, id = now_ms(), new_id("file")
        free = owner.acts_for_others
        await self.commit(
            CreateUpload(
                attachment_id=id,
                tenant=owner.tenant,
                owner_key=owner.key,
                size=size,
                name=clean_name(pairs.get("filename") or pairs.get("name") or ""),
                content_type=claimed_type(pairs.get("filetype") or pairs.get("type") or ""),
                metadata=given or None,
                created_at=now,
                expires_at=now + settings.file_upload_ttl * 1000,
                most_bytes=0 if free else settings.limit_files_per_user,
                most_uploads=0 if free else settings.limit_uploads_per_user,
            )
        )
        if size == 0:
            await (await self.receive(owner, id, 0, None)).finish()
        return await self.upload(owner, id)

    async def upload(self, owner: Principal, id: str) -> dict[str, Any]:
        """An upload as its owner sees it. Raises AnmeiError (NOT_FOUND)."""
        found = await self._read(queries.upload, owner.key, id)
        if found is None:
            raise not_found("file")
        if found["state"] == "uploading" and found["received"] == found["size"]:
            # Whoever brought the last byte was stopped before the end, or is at it just now.
            try:
                await (await self.receive(owner, id, found["size"], None)).finish()
            except AnmeiError as error:
                if error.code is not ErrorCode.LOCKED:
                    raise
        return dict(found)

    async def receive(
        self, owner: Principal, id: str, offset: int, checksum: Checksum | None
    ) -> Incoming:
        """Takes the bytes of an upload from `offset` on. Raises AnmeiError: NOT_FOUND, CONFLICT for
        another offset, LOCKED while another request does the same."""
        lease, now = new_id("lease"), now_ms()
        row = await self.commit(
            TakeUpload(
                attachment_id=id,
                owner_key=owner.key,
                lease=lease,
                now=now,
                until=now + LEASE_MS,
                offset=offset,
            )
        )
        incoming = Incoming(self, self._settings, row, lease, checksum)
        self._incoming.add(incoming)
        self._quiet.clear()
        await incoming.open(self._hashes.pop(id, None))
        return incoming

    async def remove(self, owner: Principal, id: str) -> None:
        """Lets a file or an upload go, by its owner."""
        await self.commit(RemoveFile(attachment_id=id, owner_key=owner.key, now=now_ms()))

    async def find(self, principal: Principal, id: str) -> dict[str, Any]:
        """A file that whoever asks may have now. Raises AnmeiError (NOT_FOUND)."""
        viewer = None if principal.acts_for_others else principal.key
        found = await self._read(queries.attachment, viewer, principal.tenant, id)
        if found is None:
            raise not_found("file")
        return dict(found)

    async def reader(self, file: dict[str, Any], start: int, end: int) -> Reader:
        """Reads a part of a file that was found."""
        return await self.work(self.storage.reader, file["id"], file["place"], start, end)

    # What its parts need

    async def work(self, call: Callable[..., T], *args: Any) -> T:
        """What waits for the storage, in a thread. Raises StorageError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, call, *args)

    async def commit(self, command: FileCommand) -> dict[str, Any]:
        return await self._archive.ask(command, WRITE_TIMEOUT)

    def done(self, incoming: Incoming, hashed: tuple[int, Any] | None) -> None:
        """An upload's request is over; `hashed` is how far, and to what."""
        self._incoming.discard(incoming)
        if not self._incoming:
            self._quiet.set()
        if hashed is not None:
            self._hashes[incoming.id] = hashed
            if len(self._hashes) > HASHES:
                self._hashes.popitem(last=False)

    def cut(self, incoming: Incoming) -> None:
        """The connection broke: what came is kept."""
        self._supervisor.spawn("upload", incoming.cut)

    async def _read(self, query: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.wrap_future(self._store.read(query, *args))

    async def _sweep(self) -> None:
        while True:
            try:
                while await self._sweep_some():
                    pass
            except (AnmeiError, StoreUnavailable, StorageError) as error:
                log.info("files are swept later: %s", error)
            await asyncio.sleep(SWEEP_PAUSE)

    async def _sweep_some(self) -> bool:
        """Whether there may be more. Raises StorageError where some cannot be taken away now; that
        holds up no other, since what is recalled shall go."""
        now = now_ms()
        expired = (await self.commit(ExpireFiles(now=now, limit=SWEPT_AT_ONCE)))["expired"]
        found = await self._read(queries.removed_files, now, SWEPT_AT_ONCE)
        gone: list[str] = []
        failure: StorageError | None = None
        for id, place in found:
            try:
                await self.work(self.storage.remove, id, place)
            except StorageError as error:
                failure = error
            else:
                gone.append(id)
        if gone:
            await self.commit(ForgetFiles(attachment_ids=tuple(gone)))
            log.info("%d files are gone", len(gone))
        if failure is not None:
            raise failure
        return bool(max(expired, len(found)) == SWEPT_AT_ONCE)
