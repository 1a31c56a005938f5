"""A server that speaks S3, private to this run: moto, which keeps everything in memory."""

import sys

import boto3
from botocore.config import Config

from tests.support.child import Child
from tests.support.servers import temporary_directory

BUCKET = "anmei-files"
ACCESS_KEY, SECRET_KEY, REGION = "key", "secret", "us-east-1"


class S3:
    """The server, with an empty bucket."""

    def __init__(self) -> None:
        self._directory = temporary_directory("s3")
        self.server = Child(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            cwd=self._directory,
        )
        line = self.server.wait_for_line(r"Running on http://127\.0\.0\.1:(\d+)", 60)
        self.url = f"http://127.0.0.1:{line[1]}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"max_attempts": 5}),
        )
        self.client.create_bucket(Bucket=BUCKET)

    def names(self) -> list[str]:
        """The names of all objects, and of what is begun and not finished."""
        objects = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        begun = self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
        return sorted([each["Key"] for each in (*objects, *begun)])

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self._directory.rmdir()
