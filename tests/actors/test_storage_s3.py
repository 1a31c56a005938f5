"""Files in a bucket, on a server that speaks S3."""

import os
from collections.abc import Iterator

import pytest

from actors.storage import StorageError
from actors.storage_s3 import MIN_PART, S3Storage
from db.link import fetch
from tests.actors.file_site import contents, file_site, somebody
from tests.support.s3 import ACCESS_KEY, BUCKET, REGION, S3, SECRET_KEY

ANN = somebody("ann")


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    yield server
    server.close()


def bucket(s3: S3, name: str = BUCKET) -> S3Storage:
    return S3Storage(
        name,
        "files/",
        endpoint=s3.url,
        region=REGION,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        connections=4,
    )


async def test_an_upload_goes_on_part_by_part_and_leaves_nothing_beside_it(s3, sqlite_url) -> None:
    data = os.urandom(2 * MIN_PART + 300_000)
    async with file_site(sqlite_url, bucket(s3)) as site:
        files = site.node()
        id = (await files.create(ANN, len(data), None))["id"]
        start = 0
        # Ends within a part, at the end of one, and within the last.
        for end in (1_000_000, MIN_PART, MIN_PART + 7, len(data) - 1, len(data)):
            one = await site.node().receive(ANN, id, start, None)
            for at in range(start, end, 900_000):
                await one.feed(data[at : min(end, at + 900_000)])
            if end % 2:
                await one.cut()
            else:
                await one.finish()
            start = (await files.upload(ANN, id))["received"]
            assert start == end
        assert s3.names() == [f"files/{id}"]
        assert await contents(files, ANN, id) == data
        found = await files.find(ANN, id)
        reader = await files.reader(found, MIN_PART - 2, MIN_PART + 2)
        assert await files.work(reader.read, 100) == data[MIN_PART - 2 : MIN_PART + 2]
        reader.close()
        await files.remove(ANN, id)
        await files._sweep_some()
        assert s3.names() == []


async def test_what_was_sent_and_not_noted_is_sent_again(s3, sqlite_url) -> None:
    data = os.urandom(MIN_PART + 100)
    async with file_site(sqlite_url, bucket(s3)) as site:
        files = site.node()
        id = (await files.create(ANN, len(data), None))["id"]
        first = await files.receive(ANN, id, 0, None)
        await first.feed(data[:1_000])
        await first.finish()
        row = await files.upload(ANN, id)

        def lose() -> None:
            writer = site.storage.writer(id, row["place"], 1_000, len(data))
            writer.write(b"x" * MIN_PART)
            writer.save()
            writer.close()

        await files.work(lose)
        second = await files.receive(ANN, id, 1_000, None)
        await second.feed(data[1_000:])
        await second.finish()
        assert await contents(files, ANN, id) == data
        await files.remove(ANN, id)
        await files._sweep_some()
        assert s3.names() == []


@pytest.mark.parametrize("size", [100, MIN_PART, MIN_PART + 100])
async def test_what_was_completed_and_not_noted_is_completed_once(s3, sqlite_url, size) -> None:
    data = os.urandom(size)
    async with file_site(sqlite_url, bucket(s3)) as site:
        files = site.node()
        id = (await files.create(ANN, len(data), None))["id"]
        first = await files.receive(ANN, id, 0, None)
        await first.feed(data)
        await first.cut()
        ((place,),) = await files._read(fetch, "SELECT place FROM attachments")

        def complete() -> None:
            writer = site.storage.writer(id, place, len(data), len(data))
            writer.finish()
            writer.close()

        await files.work(complete)
        await files.work(complete)
        assert (await files.upload(ANN, id))["received"] == len(data)
        assert await contents(files, ANN, id) == data
        await files.remove(ANN, id)
        await files._sweep_some()


def test_a_bucket_that_is_not_there_is_said(s3) -> None:
    with pytest.raises(StorageError):
        bucket(s3, "no-such-bucket").open()
