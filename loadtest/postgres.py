"""A private PostgreSQL cluster in a temporary folder, on a UNIX socket, with its usual durability
(`fsync` and `synchronous_commit` on). It never touches a cluster that is already there."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtest.server import ServerError

START_SECONDS = 30


class Cluster:
    """A cluster that can be stopped and started; use `cluster` where it need not be."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="anmei-pg-", dir="/tmp"))
        self._server: subprocess.Popen[bytes] | None = None
        self._account = _account(self.folder)
        initdb = [_program("initdb"), "-D", self.folder / "data", "-U", "anmei", "-A", "trust"]
        result = subprocess.run(
            [*initdb, "-E", "UTF8", "--locale=C.UTF-8"],
            capture_output=True,
            cwd=self.folder,
            check=False,
            **self._account,
        )
        if result.returncode:
            raise ServerError(f"initdb: {result.stderr.decode(errors='replace')[-1000:]}")

    def url(self, folder: Path | None = None) -> str:
        """The URL of its empty database, or of what stands before it in another folder."""
        return f"postgresql://anmei@/postgres?host={folder or self.folder}"

    def start(self) -> None:
        """Start it, and wait until it takes connections. Raises ServerError."""
        with open(self.folder / "log", "wb") as log:
            self._server = subprocess.Popen(
                [_program("postgres"), "-D", self.folder / "data", "-k", self.folder]
                + ["-c", "listen_addresses="],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._account,
            )
        deadline = time.monotonic() + START_SECONDS
        log_file = self.folder / "log"
        while "ready to accept" not in (text := log_file.read_text(errors="replace")):
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not start: {text[-1000:]}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Of the server that was started last."""
        assert self._server is not None
        return self._server.pid

    def stop_at_once(self) -> None:
        """End it and all its sessions, and leave the recovery to the next start."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait()

    def terminate_sessions(self) -> None:
        """End every session. Nothing happens where it does not run."""
        subprocess.run(
            [_program("psql"), "-h", self.folder, "-U", "anmei", "-d", "postgres", "-qtc"]
            + [
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ],
            capture_output=True,
            check=False,
        )

    def close(self) -> None:
        """End it, and leave nothing behind."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGQUIT)  # SIGTERM would wait for its clients
            try:
                self._server.wait(5)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def cluster() -> Iterator[str]:
    """A running cluster; yields the URL of its empty database."""
    server = Cluster()
    try:
        server.start()
        yield server.url()
    finally:
        server.close()


def _account(folder: Path) -> dict[str, Any]:
    """How to start a program that refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise ServerError(
            "PostgreSQL does not run as root, and there is no user postgres"
        ) from None
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _program(name: str) -> str:
    """Where it is; Debian keeps it off the PATH."""
    found = [*sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)]
    path = shutil.which(name) or (found[0] if found else None)
    if path is None:
        raise ServerError(f"{name} is missing: apt-get install postgresql")
    return path
