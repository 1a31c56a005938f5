"""Uploads go on: behind a killed server, on another node, and never twice at once."""

import asyncio
import hashlib
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.handlers.api_routes import check_error
from tests.support.http import Http
from tests.support.process import AnmeiProcess
from tests.support.raw_socket import RawSocket
from tests.support.uploads import FILES, OCTETS, begin, head, id_of, patch

#: A client of the protocol as it comes from its makers: told to try again, and nothing else.
CLIENT = """
import sys
from tusclient.client import TusClient

url, token, path = sys.argv[1:]
client = TusClient(url, headers={"Authorization": "Bearer " + token})
uploader = client.uploader(path, metadata={"filename": "large"}, retries=900, retry_delay=0.1)
uploader.set_url(uploader.create_url())
print(uploader.url, flush=True)
uploader.offset = 0
uploader.upload()
"""

MEGABYTE = 1_000_000


async def until(ask: Callable[[], Awaitable[bool]], pause: float = 0.01) -> None:
    async with asyncio.timeout(60):
        while not await ask():  # noqa: ASYNC110 - what is waited for happens in another program
            await asyncio.sleep(pause)


async def grown(client: Http, path: str, size: int) -> None:
    """Returns when that many bytes of the upload are safe."""

    async def there() -> bool:
        return int((await head(client, path)).headers["Upload-Offset"]) >= size

    await until(there)


def write_file(path: Path, size: int) -> str:
    """A file that nothing could make shorter; its SHA-256."""
    found = hashlib.sha256()
    with path.open("wb") as file:
        while size:
            data = os.urandom(min(size, MEGABYTE))
            file.write(data)
            found.update(data)
            size -= len(data)
    return found.hexdigest()


def saved(node: AnmeiProcess, path: str) -> int:
    """What the database of a node that is down says of an upload."""
    link = sqlite3.connect(node.data_dir / "anmei.db")
    try:
        rows = link.execute("SELECT received FROM attachments WHERE id = ?", [id_of(path)])
        return int(rows.fetchone()[0])
    finally:
        link.close()


@pytest.mark.timeout(300)
@pytest.mark.gen_test(timeout=280)
async def test_an_unmodified_client_uploads_200_mb_through_three_kills(start, tmp_path) -> None:
    size = 200 * MEGABYTE
    node: AnmeiProcess = await start({"ANMEI_LIMIT_REQUESTS_PER_SECOND": "0"})
    sha256 = await asyncio.to_thread(write_file, tmp_path / "large", size)
    token = node.token("ann")
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT, node.url + FILES, token, str(tmp_path / "large")),
        stdout=asyncio.subprocess.PIPE,
    )
    ann = Http(node.url, token, timeout=60)
    try:
        assert client.stdout is not None
        path = (await client.stdout.readline()).decode().strip().removeprefix(node.url)
        for part in (1, 2, 3):
            await grown(ann, path, part * size // 6)
            await asyncio.to_thread(node.kill9)
            (file,) = (node.data_dir / "files").rglob(id_of(path))
            assert part * size // 6 <= saved(node, path) <= file.stat().st_size
            await asyncio.to_thread(node.start)
        assert await client.wait() == 0
        answer = await ann.request("HEAD", path)
        assert answer.headers["Content-Length"] == str(size)
        assert answer.headers["ETag"] == f'"{sha256}"'
        kept = await asyncio.to_thread(file.read_bytes)
        assert await asyncio.to_thread(lambda: hashlib.sha256(kept).hexdigest()) == sha256
        assert node.rss() < size
    finally:
        ann.close()
        if client.returncode is None:
            client.kill()
            await client.wait()


async def half(node: AnmeiProcess, path: str, size: int) -> RawSocket:
    """A request that brings the first half of an upload and then nothing."""
    raw = await RawSocket.dial(node.port)
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {node.token('ann')}\r\n"
        f"Upload-Offset: 0\r\nContent-Type: {OCTETS}\r\nContent-Length: {size}\r\n\r\n"
    )
    await raw.send_bytes(head.encode() + b"1" * (size // 2))
    return raw


@pytest.mark.gen_test(timeout=110)
async def test_another_node_goes_on_where_the_first_one_stopped(
    postgres_url, redis_server, start, tmp_path
) -> None:
    env = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_server.url,
        "ANMEI_FILES": str(tmp_path / "shared"),
        "ANMEI_LIMIT_REQUESTS_PER_SECOND": "0",
    }
    one, two = await start(env), await start(env)
    here, there = Http(one.url, one.token("ann")), Http(two.url, two.token("ann"))
    size = MEGABYTE
    cut, killed = [(await begin(here, size)).headers["Location"] for _ in range(2)]
    raws = [await half(one, path, size) for path in (cut, killed)]

    async def drip() -> None:
        while True:
            for raw in raws:
                await raw.send_bytes(b"1")
            await asyncio.sleep(0.2)

    async def begun() -> bool:
        return all(list((tmp_path / "shared").rglob(id_of(path))) for path in (cut, killed))

    async def finished(path: str) -> bytes:
        """The upload is ended at the other node as soon as that may be; its data."""

        async def ended() -> bool:
            offset = int((await head(there, path)).headers["Upload-Offset"])
            assert offset < size
            answer = await patch(there, path, offset, b"2" * (size - offset))
            assert answer.status in (204, 409, 423), answer
            return answer.status == 204

        await until(ended, 0.1)
        return (await there.get(path)).body

    dripping = asyncio.create_task(drip())
    try:
        await until(begun)
        for path in (cut, killed):
            check_error(await patch(there, path, 0, b""), 423, "locked")
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
    await raws[0].close()
    data = await finished(cut)
    assert data.lstrip(b"1").lstrip(b"2") == b""
    assert data.count(b"1") >= size // 2
    assert (await here.get(cut)).body == data
    await asyncio.to_thread(one.kill9)
    data = await finished(killed)
    assert (len(data), data.lstrip(b"1").lstrip(b"2")) == (size, b"")
    await raws[1].close()
    here.close()
    there.close()
