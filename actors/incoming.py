"""The bytes of one request on their way into an upload."""

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Any

from actors.storage import StorageError, Writer
from anmei.clock import now_ms
from anmei.commands_files import FinishUpload, SaveUpload
from anmei.errors import AnmeiError, ErrorCode
from anmei.file_types import HEAD_BYTES, judge
from anmei.settings import Settings
from anmei.tus import Checksum

if TYPE_CHECKING:
    from actors.files import Files

PIECE = 262_144  # bytes that are written in one go
#: What a crash may cost: this much, or what came in this time.
SAVE_BYTES = 33_554_432
SAVE_SECONDS = 1.0
#: How long nobody else may go on with an upload whose request is silent. Short: a client whose
#: connection broke is back before the server has noticed.
LEASE_MS = 3_000

log = logging.getLogger("anmei.files")


class Incoming:
    """Made by `Files.receive`, then fed, then finished or cut; each of them waits its turn."""

    def __init__(
        self,
        files: "Files",
        settings: Settings,
        row: dict[str, Any],
        lease: str,
        checksum: Checksum | None,
    ) -> None:
        self.id: str = row["id"]
        self.size: int = row["size"]
        #: Bytes that are there, with those that came by this request.
        self.received: int = row["received"]
        self.expires_at: int = row["expires_at"] or 0
        self._files = files
        self._settings = settings
        self._claimed: str = row["content_type"]
        self._place: str = row["place"]
        self._lease = lease
        self._checksum = checksum
        self._saved = self.received
        self._loop = asyncio.get_running_loop()
        self._saved_at = self._loop.time()
        self._turn = asyncio.Lock()
        self._buffer = bytearray()
        self._writer: Writer | None = None
        self._hash: Any = None
        self._over = row["state"] == "ready"

    @property
    def room(self) -> int:
        """Bytes that are still to come."""
        return self.size - self.received - len(self._buffer)

    async def open(self, hashed: tuple[int, Any] | None) -> None:
        """`hashed`: how far the upload was hashed here before, and to what."""
        if self._over:
            self._files.done(self, None)
            return
        if self.received == 0:
            self._hash = hashlib.sha256()
        elif hashed is not None and hashed[0] == self.received:
            self._hash = hashed[1]
        async with self._turn:
            await self._guarded(self._open())

    async def feed(self, data: bytes) -> None:
        """Takes the next bytes, no more than there is room for; returns when more may come."""
        self._buffer += data
        # What comes slowly is written too, and shows that it does come.
        if len(self._buffer) >= PIECE or self._loop.time() - self._saved_at > SAVE_SECONDS:
            async with self._turn:
                await self._guarded(self._pour())

    async def finish(self) -> None:
        """All of the request has come. Raises AnmeiError where it does not fit its checksum."""
        async with self._turn:
            await self._guarded(self._finish())

    async def cut(self) -> None:
        """No more comes. What a checksum stands for is not kept, as nobody can check it."""
        async with self._turn:
            if not self._over:
                try:
                    await self._guarded(self._keep())
                except AnmeiError as error:
                    log.info("a cut upload is kept up to what was saved: %s", error.message)

    async def _guarded(self, step: Any) -> None:
        """Takes a step; whatever it raises is the end."""
        try:
            await step
        except StorageError as error:
            log.warning("the storage of files: %s", error)
            await self._release()
            raise AnmeiError(
                ErrorCode.UNAVAILABLE, "the storage of files cannot take this now"
            ) from None
        except AnmeiError as error:
            await self._end()
            if error.code is ErrorCode.CHECKSUM:
                await self._give_back()
            raise
        except BaseException:
            await self._end()
            raise

    async def _open(self) -> None:
        files = self._files
        self._writer = await files.work(
            files.storage.writer, self.id, self._place, self.received, self.size
        )

    async def _pour(self) -> None:
        """Writes what waits."""
        if self._over or not self._buffer:
            return
        if self._loop.time() - self._saved_at > LEASE_MS / 1000:
            # Silent for so long that another may have gone on with it.
            await self._save(LEASE_MS)
        data = bytes(self._buffer)
        self._buffer.clear()
        await self._files.work(self._write, data)
        self.received += len(data)
        late = self._loop.time() - self._saved_at > SAVE_SECONDS
        if late or (self._checksum is None and self.received - self._saved >= SAVE_BYTES):
            await self._save(LEASE_MS)

    def _write(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)
        if self._hash is not None:
            self._hash.update(data)
        if self._checksum is not None:
            self._checksum.update(data)

    async def _save(self, lease_ms: int) -> None:
        """Makes safe what was written, as far as it may count, then notes it."""
        if self._checksum is None and self.received > self._saved:
            assert self._writer is not None
            self._place = await self._files.work(self._writer.save)
            self._saved = self.received
        await self._note(lease_ms)

    async def _note(self, lease_ms: int) -> None:
        now = now_ms()
        self.expires_at = now + self._settings.file_upload_ttl * 1000
        await self._files.commit(
            SaveUpload(
                attachment_id=self.id,
                lease=self._lease,
                received=self._saved,
                place=self._place,
                until=now + lease_ms if lease_ms else 0,
                expires_at=self.expires_at,
            )
        )
        self._saved_at = self._loop.time()

    async def _finish(self) -> None:
        if self._over:
            return
        await self._pour()
        if self._checksum is not None:
            if not self._checksum.holds:
                raise AnmeiError(
                    ErrorCode.CHECKSUM, "Upload-Checksum: what came hashes to something else"
                )
            self._checksum = None
        if self.received < self.size:
            await self._save(0)
            await self._end()
            return
        await self._save(LEASE_MS)
        assert self._writer is not None
        self._place = await self._files.work(self._writer.finish)
        sha256, head = await self._files.work(self._look)
        content_type, safe = judge(head, self._claimed)
        await self._files.commit(
            FinishUpload(
                attachment_id=self.id,
                lease=self._lease,
                place=self._place,
                sha256=sha256,
                content_type=content_type,
                safe=safe,
                expires_at=now_ms() + self._settings.file_unused_ttl * 1000,
            )
        )
        self._hash = None
        await self._end()

    def _look(self) -> tuple[str, bytes]:
        """The file's hash and how it begins."""
        storage = self._files.storage
        whole = self._hash is None
        reader = storage.reader(
            self.id, self._place, 0, self.size if whole else min(self.size, HEAD_BYTES)
        )
        try:
            head = reader.read(HEAD_BYTES)
            if not whole:
                return self._hash.hexdigest(), head
            found, data = hashlib.sha256(), head
            while data:
                found.update(data)
                data = reader.read(4 * PIECE)
            return found.hexdigest(), head
        finally:
            reader.close()

    async def _keep(self) -> None:
        if self._checksum is None:
            await self._pour()
        else:
            self._hash = None
        await self._save(0)
        await self._end()

    async def _release(self) -> None:
        """The storage failed: what was saved before counts."""
        await self._end()
        await self._give_back()

    async def _give_back(self) -> None:
        try:
            await self._note(0)
        except AnmeiError as error:
            log.info("a lease is left to end by itself: %s", error.message)

    async def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._buffer.clear()
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                await self._files.work(writer.close)
        finally:
            whole = self._hash is not None and self._saved == self.received
            self._files.done(self, (self.received, self._hash) if whole else None)
