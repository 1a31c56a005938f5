"""Files on both databases: what is counted, who writes, and what goes when."""

import asyncio
import base64
import hashlib
from pathlib import Path

import pytest

from actors import files as files_module
from actors import incoming as incoming_module
from actors.storage import StorageError
from actors.storage_disk import DiskStorage
from anmei.clock import now_ms
from anmei.commands import CreateConversation, SendMessage
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import new_id
from anmei.tus import Checksum
from db.link import execute, fetch
from db.scrub import scrub
from tests.actors.file_site import contents, file_site, somebody, upload

ANN, BOB = somebody("ann"), somebody("bob")


@pytest.fixture
def storage(tmp_path: Path) -> DiskStorage:
    return DiskStorage(tmp_path / "files")


def on_disk(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "files").rglob("*") if path.is_file()}


def md5(data: bytes) -> Checksum:
    return Checksum("md5 " + base64.b64encode(hashlib.md5(data).digest()).decode())


async def refused(awaitable, code: ErrorCode) -> str:
    with pytest.raises(AnmeiError) as caught:
        await awaitable
    assert caught.value.code is code, caught.value
    return caught.value.message


async def test_each_limit_is_named(database_url, storage) -> None:
    async with file_site(database_url, storage) as site:
        files = site.node(limit_file_bytes=100, limit_files_per_user=250, limit_uploads_per_user=3)
        said = await refused(files.create(ANN, 101, None), ErrorCode.TOO_LARGE)
        assert "100" in said
        assert "ANMEI_LIMIT_FILE_BYTES" in said
        await upload(files, ANN, b"x" * 100)
        begun = [await files.create(ANN, 60, None) for _ in range(2)]
        said = await refused(files.create(ANN, 60, None), ErrorCode.TOO_LARGE)
        assert "250" in said
        assert "ANMEI_LIMIT_FILES_PER_USER" in said
        await files.create(ANN, 30, None)
        said = await refused(files.create(ANN, 0, None), ErrorCode.RATE_LIMITED)
        assert "ANMEI_LIMIT_UPLOADS_PER_USER" in said
        # What goes makes room, and nobody else's counts.
        await files.remove(ANN, begun[0]["id"])
        await files.create(ANN, 60, None)
        await files.create(BOB, 100, None)
        backend = somebody("shop", "service")
        for _ in range(5):
            await files.create(backend, 100, None)


async def test_many_at_once_do_not_pass_a_limit(database_url, storage) -> None:
    async with file_site(database_url, storage) as site:
        files = site.node(limit_files_per_user=500)
        made = await asyncio.gather(
            *(files.create(ANN, 100, None) for _ in range(9)), return_exceptions=True
        )
        assert sum(isinstance(each, dict) for each in made) == 5


async def test_a_lease_keeps_others_out_until_it_ends(database_url, storage, monkeypatch) -> None:
    monkeypatch.setattr(incoming_module, "PIECE", 4)
    monkeypatch.setattr(files_module, "LEASE_MS", 600_000)
    monkeypatch.setattr(incoming_module, "LEASE_MS", 600_000)
    async with file_site(database_url, storage) as site:
        one, two = site.node(), site.node()
        id = (await one.create(ANN, 12, None))["id"]
        first = await one.receive(ANN, id, 0, None)
        await first.feed(b"aaaa")
        await refused(two.receive(ANN, id, 0, None), ErrorCode.LOCKED)
        # Its time is over, and it has not noticed.
        await asyncio.wrap_future(
            site.store.read(lambda db: execute(db, "UPDATE attachments SET lease_until = 1"))
        )
        second = await two.receive(ANN, id, 0, None)
        await second.feed(b"bbbbbbbb")
        await refused(first.finish(), ErrorCode.LOCKED)
        await second.finish()
        assert (await one.upload(ANN, id))["received"] == 8
        third = await one.receive(ANN, id, 8, None)
        await third.feed(b"cccc")
        await third.finish()
        assert await contents(two, ANN, id) == b"bbbbbbbbcccc"
        found = await two.find(ANN, id)
        assert found["sha256"] == hashlib.sha256(b"bbbbbbbbcccc").hexdigest()


async def test_what_was_written_and_not_noted_is_written_again(database_url, storage) -> None:
    async with file_site(database_url, storage) as site:
        files = site.node()
        id = (await files.create(ANN, 8, None))["id"]
        first = await files.receive(ANN, id, 0, None)
        await first.feed(b"good")
        await first.finish()
        # A process that dies leaves bytes that nobody knows of.
        writer = storage.writer(id, "disk", 4, 8)
        writer.write(b"junkjunk")
        writer.close()
        second = await files.receive(ANN, id, 4, None)
        await second.feed(b"work")
        await second.finish()
        assert await contents(files, ANN, id) == b"goodwork"


async def test_a_finish_that_was_interrupted_is_made_up_for(database_url, storage) -> None:
    async with file_site(database_url, storage) as site:
        files = site.node()
        id = (await files.create(ANN, 4, None))["id"]
        first = await files.receive(ANN, id, 0, None)
        await first.feed(b"done")
        await first.cut()
        # Whoever is at it just now is not disturbed.
        second = await files.receive(ANN, id, 4, None)
        assert (await files.upload(ANN, id))["state"] == "uploading"
        await second.cut()
        await files.upload(ANN, id)
        found = await files.upload(ANN, id)
        assert (found["state"], found["received"], found["size"]) == ("ready", 4, 4)
        assert await contents(files, ANN, id) == b"done"


async def test_a_missing_part_is_noticed(database_url, storage, tmp_path, expect_log) -> None:
    expect_log("the storage of files: a part of it is missing")
    async with file_site(database_url, storage) as site:
        files = site.node()
        id = (await files.create(ANN, 8, None))["id"]
        first = await files.receive(ANN, id, 0, None)
        await first.feed(b"good")
        await first.finish()
        next((tmp_path / "files").rglob(id)).write_bytes(b"g")
        await refused(files.receive(ANN, id, 4, None), ErrorCode.UNAVAILABLE)
        with pytest.raises(StorageError):
            storage.reader("file_absent", "disk", 0, 1)


async def test_a_full_disk_is_said_and_what_was_saved_counts(
    database_url, storage, monkeypatch, expect_log
) -> None:
    expect_log("the storage of files: No space left on device")
    async with file_site(database_url, storage) as site:
        files = site.node()
        id = (await files.create(ANN, 8, None))["id"]
        first = await files.receive(ANN, id, 0, None)
        await first.feed(b"good")
        await first.finish()
        second = await files.receive(ANN, id, 4, None)

        def full(data: bytes) -> None:
            raise StorageError("No space left on device")

        assert second._writer is not None
        monkeypatch.setattr(second._writer, "write", full)
        await second.feed(b"work")
        await refused(second.finish(), ErrorCode.UNAVAILABLE)
        third = await files.receive(ANN, id, 4, md5(b"work"))
        await third.feed(b"work")
        await third.finish()
        assert await contents(files, ANN, id) == b"goodwork"


async def test_what_nobody_needs_goes_with_its_data(database_url, storage, tmp_path) -> None:
    async with file_site(database_url, storage) as site:
        files = site.node(file_upload_ttl=1, file_unused_ttl=1)
        kept = site.node()
        unused = await upload(files, ANN, b"unused")
        begun = (await files.create(ANN, 4, None))["id"]
        stays = await upload(kept, ANN, b"stays")
        removed = await upload(kept, ANN, b"removed")
        await kept.remove(ANN, removed)
        # A second later, and without the wait.
        later = "UPDATE attachments SET expires_at = expires_at - 2000"
        await asyncio.wrap_future(site.store.read(lambda db: execute(db, later)))
        assert on_disk(tmp_path) == {unused, stays, removed}
        assert not await files._sweep_some()
        assert on_disk(tmp_path) == {stays}
        for id in (unused, begun, removed):
            await refused(files.upload(ANN, id), ErrorCode.NOT_FOUND)
        rows = await asyncio.wrap_future(
            site.store.read(lambda db: fetch(db, "SELECT id FROM attachments"))
        )
        assert rows == [(stays,)]


async def test_one_that_cannot_be_taken_away_holds_up_no_other(
    database_url, storage, tmp_path, monkeypatch
) -> None:
    async with file_site(database_url, storage) as site:
        files = site.node()
        stuck, other = [await upload(files, ANN, b"x") for _ in range(2)]
        for id in (stuck, other):
            await files.remove(ANN, id)
        remove = storage.remove

        def refuse(name: str, place: str) -> None:
            if name == stuck:
                raise StorageError("not permitted")
            remove(name, place)

        monkeypatch.setattr(storage, "remove", refuse)
        with pytest.raises(StorageError):
            await files._sweep_some()
        assert on_disk(tmp_path) == {stuck}
        monkeypatch.undo()
        await files._sweep_some()
        assert on_disk(tmp_path) == set()


async def test_a_file_stays_as_long_as_a_message_carries_it(
    database_url, storage, tmp_path
) -> None:
    async with file_site(database_url, storage) as site:
        files = site.node(file_unused_ttl=1)
        id = await upload(files, ANN, b"shared")
        await site.archive.ask(
            CreateConversation("acme/room", "group", ANN.key, (BOB.key,), created_at=1), 30
        )
        for number in range(2):
            await site.archive.ask(
                SendMessage(
                    conversation_key="acme/room",
                    sender_key=(ANN, BOB)[number].key,
                    sender_name="x",
                    message_id=new_id("msg"),
                    client_msg_id=f"c{number}",
                    content="",
                    created_at=now_ms(),
                    message_type="file",
                    body=f'{{"attachment_id":"{id}","name":"a","size":6}}',
                ),
                30,
            )
        later = "UPDATE attachments SET expires_at = expires_at - 2000"
        await asyncio.wrap_future(site.store.read(lambda db: execute(db, later)))
        await files._sweep_some()
        await refused(files.remove(ANN, id), ErrorCode.CONFLICT)
        for seq in (2, 3):
            assert await contents(files, BOB, id) == b"shared"

            def recall(db, seq=seq) -> None:
                ((pk,),) = fetch(db, "SELECT pk FROM messages WHERE seq = %s", (seq,))
                scrub(db, [pk])

            await asyncio.wrap_future(site.store.read(recall))
            await files._sweep_some()
            assert on_disk(tmp_path) == ({id} if seq == 2 else set())
        for who in (ANN, BOB):
            await refused(files.find(who, id), ErrorCode.NOT_FOUND)
