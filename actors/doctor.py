"""The doctor: looks for what would go wrong, and says what to do about it."""

import os
import resource
import shutil
import socket
import time
from pathlib import Path

import msgspec

from anmei.settings import Settings
from db import queries
from db.errors import StoreUnavailable
from db.store import Store

ENOUGH_FILES = 4_096  # open files: one a connection, and some for the database
ENOUGH_DISK = 512 * 1024 * 1024  # bytes
CLOCK_TOLERANCE = 5.0  # seconds between our clock and the database's


class Finding(msgspec.Struct):
    """One thing that was looked at; where it is not `ok`, the text says what to do."""

    what: str
    ok: bool
    text: str


def examine(settings: Settings, url: str) -> list[Finding]:
    """Looks at everything a server with these settings needs."""
    return [
        _database(settings, url),
        _disk(settings, url),
        _port(settings),
        _files(),
        _secret(settings),
        *_redis(settings),
    ]


def _database(settings: Settings, url: str) -> Finding:
    store = Store(url, readers=1, timeout_ms=settings.db_timeout)
    begun = time.monotonic()
    try:
        store.open()
    except (StoreUnavailable, OSError) as error:
        return Finding("database", False, f"{error}; check DATABASE_URL and that it is running")
    try:
        moment = store.read(queries.now).result(timeout=settings.db_timeout / 1000)
        took = (time.monotonic() - begun) * 1000
    except StoreUnavailable as error:
        return Finding("database", False, f"{error}; check its log")
    finally:
        store.close()
    off = abs(moment / 1000 - time.time())
    if off > CLOCK_TOLERANCE:
        return Finding(
            "database",
            False,
            f"its clock is {off:.0f} s off ours; set both by NTP, tokens depend on it",
        )
    return Finding("database", True, f"opened, migrated and read in {took:.0f} ms")


def _disk(settings: Settings, url: str) -> Finding:
    directory = Path(settings.data_dir if url.startswith("sqlite") else ".")
    free = shutil.disk_usage(directory if directory.exists() else ".").free
    text = f"{free / 2**30:.1f} GiB free"
    if free < ENOUGH_DISK:
        return Finding("disk", False, f"{text}; make room: a full disk refuses every message")
    return Finding("disk", True, text)


def _port(settings: Settings) -> Finding:
    what = f"{settings.host}:{settings.port}"
    try:
        family = socket.getaddrinfo(settings.host, settings.port)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        return Finding("port", False, f"{what}: {error.strerror}; choose another with --port")
    return Finding("port", True, f"{what} is free")


def _files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{soft} open files allowed, so about {max(0, soft - 100)} connections"
    if soft < ENOUGH_FILES:
        return Finding("open files", False, f"{text}; raise it with `ulimit -n 65536`")
    return Finding("open files", True, text)


def _redis(settings: Settings) -> list[Finding]:
    if not settings.redis_url:
        return []
    # Loaded by who needs it, since the client takes long to load.
    from actors.checkup_redis import examine_redis

    found = examine_redis(settings)
    if found.problem is not None:
        check = "" if found.reachable else "; check REDIS_URL and that it is running"
        return [Finding("redis", False, found.problem + check)]
    text = f"version {found.version}, answers in {found.took_ms:g} ms, takes writes"
    return [Finding("redis", True, text)]


def _secret(settings: Settings) -> Finding:
    if settings.jwt_secret or settings.jwt_public_key or settings.jwt_jwks_url:
        return Finding("tokens", True, "verified with the keys of the settings")
    path = Path(settings.data_dir) / "secret"
    if path.exists() and os.stat(path).st_mode & 0o077:
        return Finding("tokens", False, f"{path} can be read by others; `chmod 600 {path}`")
    return Finding("tokens", True, "signed with the development secret of the data directory")
