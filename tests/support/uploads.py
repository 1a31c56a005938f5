"""Uploads by hand, header for header."""

import base64
from typing import Any

from tests.support.http import Answer, Http

FILES = "/api/v1/files"
OCTETS = "application/offset+octet-stream"
TUS = {"Tus-Resumable": "1.0.0"}


def metadata(**pairs: str) -> str:
    """An `Upload-Metadata` header."""
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items()
    )


async def begin(client: Http, size: int | str, **headers: str) -> Answer:
    sent = {**TUS, "Upload-Length": str(size), **headers}
    return await client.request("POST", FILES, headers=sent, raw=b"")


async def patch(client: Http, path: str, offset: int | str, data: bytes, **headers: str) -> Answer:
    sent = {**TUS, "Upload-Offset": str(offset), "Content-Type": OCTETS, **headers}
    return await client.request("PATCH", path, headers=sent, raw=data)


async def head(client: Http, path: str) -> Answer:
    return await client.request("HEAD", path, headers=TUS)


async def upload(client: Http, data: bytes, **pairs: str) -> str:
    """A finished file; its path."""
    headers = {"Upload-Metadata": metadata(**pairs), "Content-Type": OCTETS}
    sent = {**TUS, "Upload-Length": str(len(data)), **headers}
    answer = await client.request("POST", FILES, headers=sent, raw=data)
    assert answer.status == 201, answer
    return answer.headers["Location"]


def id_of(path: str) -> str:
    return path.removeprefix(f"{FILES}/")


def file_body(path: str, name: str = "a.bin", size: int = 1) -> dict[str, Any]:
    """A message that carries a file."""
    body = {"attachment_id": id_of(path), "name": name, "size": size}
    return {"content": "", "message_type": "file", "body": body}
