"""Which storage the settings ask for."""

import importlib.util
from pathlib import Path
from urllib.parse import urlsplit

from actors.storage import Storage
from actors.storage_disk import DiskStorage
from anmei.settings import Settings, SettingsError


def make_storage(settings: Settings) -> Storage:
    """The storage for files, not yet opened. Raises SettingsError."""
    where = settings.files
    if "://" not in where:
        return DiskStorage(Path(where) if where else Path(settings.data_dir) / "files")
    parts = urlsplit(where)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(
            f"ANMEI_FILES={where}: expected a directory or s3://bucket/prefix, got another URL"
        )
    if importlib.util.find_spec("boto3") is None:
        raise SettingsError(
            "ANMEI_FILES: a bucket needs the package boto3; "
            "`pip install -r requirements-s3.txt` brings it"
        )
    from actors.storage_s3 import S3Storage

    prefix = parts.path.strip("/")
    return S3Storage(
        parts.netloc,
        prefix + "/" if prefix else "",
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        connections=settings.file_threads,
    )
