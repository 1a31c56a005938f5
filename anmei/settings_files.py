"""The settings of files: where they lie, how long they are kept, and how much there may be."""

from typing import Annotated

from anmei.settings_about import about
from anmei.settings_server import ServerSettings


class FileSettings(ServerSettings, frozen=True, kw_only=True):
    """The second part of `Settings`."""

    # Files
    files: Annotated[
        str,
        about(
            "ANMEI_FILES",
            "",
            "Where files lie, the same for all nodes: a directory, or `s3://bucket/prefix`; "
            "empty: `files` in the data directory.",
        ),
    ] = ""
    file_threads: Annotated[
        int,
        about("ANMEI_FILE_THREADS", "threads", "Threads that read and write files.", ge=1, le=64),
    ] = 4
    file_upload_ttl: Annotated[
        int,
        about(
            "ANMEI_FILE_UPLOAD_TTL",
            "s",
            "How long an upload that is not finished is kept after the last bytes came.",
            ge=1,
        ),
    ] = 86_400
    file_unused_ttl: Annotated[
        int,
        about(
            "ANMEI_FILE_UNUSED_TTL", "s", "How long a file is kept that no message carries.", ge=1
        ),
    ] = 86_400
    s3_endpoint: Annotated[
        str,
        about("ANMEI_S3_ENDPOINT", "", "The URL of a storage that speaks S3; empty: Amazon's."),
    ] = ""
    s3_region: Annotated[str, about("ANMEI_S3_REGION", "", "The region of the bucket.")] = ""
    s3_access_key: Annotated[
        str,
        about(
            "ANMEI_S3_ACCESS_KEY",
            "",
            "The id of the key for the bucket; empty: what the machine provides (boto3's chain).",
            secret=True,
        ),
    ] = ""
    s3_secret_key: Annotated[
        str, about("ANMEI_S3_SECRET_KEY", "", "The key that belongs to that id.", secret=True)
    ] = ""
    limit_file_bytes: Annotated[
        int,
        about("ANMEI_LIMIT_FILE_BYTES", "bytes", "The largest file.", ge=1, le=2**42),
    ] = 1_073_741_824
    limit_files_per_user: Annotated[
        int,
        about(
            "ANMEI_LIMIT_FILES_PER_USER",
            "bytes",
            "What all files of a user may take, services and admins excepted; 0 is no limit.",
            ge=0,
        ),
    ] = 10_737_418_240
    limit_uploads_per_user: Annotated[
        int,
        about(
            "ANMEI_LIMIT_UPLOADS_PER_USER",
            "",
            "Uploads of a user that may be under way, services and admins excepted; 0 is no limit.",
            ge=0,
        ),
    ] = 20
