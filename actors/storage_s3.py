"""Files in a bucket of S3, or of whatever speaks like it.

A file is sent as a multipart upload. What does not fill a part yet lies in an object of its own
beside it, the tail, whose name says where it begins; so nothing that was saved is written over
before the database knows of what comes after it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from actors.storage import StorageError

MIN_PART = 5 * 1024 * 1024  # what S3 takes, but for the last part
MOST_PARTS = 9_000
CONNECT_SECONDS, READ_SECONDS = 5, 30


class Place(msgspec.Struct):
    """What is remembered of a file that is under way."""

    part_bytes: int
    upload: str = ""
    #: The ETag of each part.
    parts: list[str] = []
    tail: int = 0


class S3Storage:
    """Objects in `bucket` whose names begin with `prefix`. Without keys boto3 finds them where it
    finds them on the machine."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        endpoint: str,
        region: str,
        access_key: str,
        secret_key: str,
        connections: int,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=region or None,
            aws_access_key_id=access_key or None,
            aws_secret_access_key=secret_key or None,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "max_attempts": 3},
                max_pool_connections=connections,
                # Others than Amazon's do not know the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def open(self) -> None:
        with _as_storage_error():
            self.client.head_bucket(Bucket=self.bucket)

    def writer(self, name: str, place: str, offset: int, size: int) -> "S3Writer":
        with _as_storage_error():
            return S3Writer(self, name, place, offset, size)

    def reader(self, name: str, place: str, start: int, end: int) -> "S3Reader":
        with _as_storage_error():
            return S3Reader(self, name, start, end)

    def remove(self, name: str, place: str) -> None:
        with _as_storage_error():
            key = self.prefix + name
            begun = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=key)
            for each in begun.get("Uploads", ()):
                self.client.abort_multipart_upload(
                    Bucket=self.bucket, Key=each["Key"], UploadId=each["UploadId"]
                )
            found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=key)
            for each in found.get("Contents", ()):
                self.client.delete_object(Bucket=self.bucket, Key=each["Key"])

    def close(self) -> None:
        self.client.close()


class S3Writer:
    """Goes on with one file."""

    def __init__(self, storage: S3Storage, name: str, place: str, offset: int, size: int) -> None:
        self._storage = storage
        self._client = storage.client
        self._where = {"Bucket": storage.bucket, "Key": storage.prefix + name}
        self._size = size
        if place:
            self._place = msgspec.json.decode(place, type=Place)
        else:
            self._place = Place(part_bytes=max(MIN_PART, -(-size // MOST_PARTS)))
        self._buffer = bytearray()
        self._completed = False
        self._old_tail = ""
        if self._place.tail:
            self._old_tail = self._tail_key()
            try:
                answer = self._client.get_object(Bucket=storage.bucket, Key=self._old_tail)
            except ClientError as error:
                self._must_be_complete(error, "NoSuchKey")
                return
            self._buffer += answer["Body"].read()[: self._place.tail]
        if self._begin() + len(self._buffer) != offset:
            raise StorageError("what the bucket holds of an upload does not fit the database")

    def write(self, data: bytes) -> None:
        self._buffer += data
        size = self._place.part_bytes
        while len(self._buffer) >= size:
            with _as_storage_error():
                self._send_part(bytes(self._buffer[:size]))
            del self._buffer[:size]

    def save(self) -> str:
        place = self._place
        place.tail = len(self._buffer)
        with _as_storage_error():
            if self._buffer:
                key = self._tail_key()
                self._client.put_object(
                    Bucket=self._storage.bucket, Key=key, Body=bytes(self._buffer)
                )
        return msgspec.json.encode(place).decode()

    def finish(self) -> str:
        with _as_storage_error():
            if self._completed:
                pass
            elif self._place.upload:
                self._complete()
            else:
                self._client.put_object(**self._where, Body=bytes(self._buffer))
            if self._old_tail or self._place.tail:
                self._remove_tails()
        return "s3"

    def close(self) -> None:
        self._buffer.clear()

    def _begin(self) -> int:
        """Where the first byte stands that is in no part."""
        return len(self._place.parts) * self._place.part_bytes

    def _tail_key(self) -> str:
        return f"{self._where['Key']}.tail-{self._begin()}"

    def _send_part(self, data: bytes) -> None:
        place = self._place
        if not place.upload:
            answer = self._client.create_multipart_upload(
                **self._where, ContentType="application/octet-stream"
            )
            place.upload = answer["UploadId"]
        answer = self._client.upload_part(
            **self._where, UploadId=place.upload, PartNumber=len(place.parts) + 1, Body=data
        )
        place.parts.append(answer["ETag"])

    def _complete(self) -> None:
        try:
            if self._buffer:
                self._send_part(bytes(self._buffer))
                self._buffer.clear()
            self._client.complete_multipart_upload(
                **self._where,
                UploadId=self._place.upload,
                MultipartUpload={
                    "Parts": [
                        {"PartNumber": number, "ETag": etag}
                        for number, etag in enumerate(self._place.parts, 1)
                    ]
                },
            )
        except ClientError as error:
            self._must_be_complete(error, "NoSuchUpload")

    def _must_be_complete(self, error: ClientError, code: str) -> None:
        """Raises `error` unless it says that this file was finished before, by somebody who could
        not say so any more."""
        if error.response["Error"]["Code"] != code:
            raise error
        if self._client.head_object(**self._where)["ContentLength"] != self._size:
            raise error
        self._completed = True

    def _remove_tails(self) -> None:
        found = self._client.list_objects_v2(
            Bucket=self._storage.bucket, Prefix=self._where["Key"] + ".tail-"
        )
        for each in found.get("Contents", ()):
            self._client.delete_object(Bucket=self._storage.bucket, Key=each["Key"])


class S3Reader:
    """Reads a part of one file."""

    def __init__(self, storage: S3Storage, name: str, start: int, end: int) -> None:
        self._left = end - start
        self._body: Any = None
        if self._left:
            answer = storage.client.get_object(
                Bucket=storage.bucket, Key=storage.prefix + name, Range=f"bytes={start}-{end - 1}"
            )
            self._body = answer["Body"]

    def read(self, most: int) -> bytes:
        if not self._left:
            return b""
        with _as_storage_error():
            data: bytes = self._body.read(min(most, self._left))
        if not data:
            raise StorageError("an object is shorter than it was")
        self._left -= len(data)
        return data

    def close(self) -> None:
        if self._body is not None:
            self._body.close()


@contextlib.contextmanager
def _as_storage_error() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        raise StorageError(f"S3: {error}") from None
