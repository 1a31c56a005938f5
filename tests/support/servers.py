"""Real PostgreSQL and Redis servers, private to this run: unix sockets, no ports, no leftovers."""

import glob
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg2
import pytest

from tests.support.child import Child

USER = "anmei"


def find_program(name: str, package: str) -> str:
    """The path of a server program; a test that needs one that is missing fails, and says how to
    get it."""
    # Debian keeps PostgreSQL's programs off the PATH, one folder for each version.
    found = shutil.which(name) or next(
        iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None
    )
    if found is None:
        pytest.fail(
            f"{name} is missing; please run: "
            f"sudo apt-get install -y --no-install-recommends {package}"
        )
    return found


def temporary_directory(name: str) -> Path:
    # In /tmp whatever TMPDIR is: the path of a unix socket may have 107 bytes at most.
    return Path(tempfile.mkdtemp(prefix=f"anmei-{name}-", dir="/tmp"))


class PostgresFiles:
    """A freshly made cluster, for every `Postgres` of the run to copy: making one takes a second,
    copying it a tenth."""

    def __init__(self) -> None:
        self.bin = Path(find_program("postgres", "postgresql")).resolve().parent
        self.directory = temporary_directory("pgfiles")
        # PostgreSQL refuses to run as root, so there it runs as the user its package made.
        root = os.getuid() == 0
        self.owner = pwd.getpwnam("postgres") if root else pwd.getpwuid(os.getuid())
        self.uid = self.owner.pw_uid if root else None
        self.gid = self.owner.pw_gid if root else None
        self.give(self.directory)
        initdb = Child(
            [self.bin / "initdb", "--pgdata", self.directory / "data", "--username", USER]
            + ["--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8"]
            # Small pieces of log, so that a copy has 23 MB in place of 39.
            + ["--wal-segsize", "1", "--no-sync"],
            cwd=self.directory,
            uid=self.uid,
            gid=self.gid,
        )
        status = initdb.wait(110)
        initdb.close()
        if status != 0:
            pytest.fail(f"initdb failed:\n{initdb.log}")

    def give(self, path: Path) -> None:
        """Hand `path` and all in it to the user that PostgreSQL runs as."""
        if self.uid is not None:
            for part in [path, *path.rglob("*")]:
                os.chown(part, self.uid, self.gid, follow_symlinks=False)

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


class Postgres:
    """A PostgreSQL server with a cluster of its own.

    `fsync=False` is quicker, and only for tests that are not about durability: then a commit is
    acknowledged before it is on the disk.
    """

    def __init__(self, files: PostgresFiles, *, fsync: bool = True) -> None:
        self._files = files
        self._fsync = fsync
        self._numbers = itertools.count(1)
        self.directory = temporary_directory("pg")
        shutil.copytree(files.directory / "data", self.directory / "data", symlinks=True)
        files.give(self.directory)
        self.server: Child | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def url(self, database: str = "postgres", *, host: Path | None = None) -> str:
        """How to reach it, or, with `host`, how to reach a proxy that stands before it."""
        return f"postgresql://{USER}@/{database}?host={host or self.directory}"

    @property
    def socket(self) -> Path:
        return self.directory / ".s.PGSQL.5432"

    def start(self) -> None:
        """Start, or start again after `stop` or `kill9`; returns when it takes connections."""
        self.server = Child(
            [self._files.bin / "postgres", "-D", self.directory / "data", "-k", self.directory]
            + ["-c", "listen_addresses=", "-c", f"fsync={'on' if self._fsync else 'off'}"]
            + ["-c", "shared_buffers=32MB", "-c", "max_connections=200"]
            + ["-c", "autovacuum_naptime=10min", "-c", "timezone=UTC"],
            cwd=self.directory,
            uid=self._files.uid,
            gid=self._files.gid,
        )
        self.server.wait_for_line("database system is ready to accept connections", 110)

    def stop(self, *, immediate: bool = False) -> None:
        """End every session and stop; `immediate` leaves the recovery to the next start."""
        self.server.signal(signal.SIGQUIT if immediate else signal.SIGINT)
        self.server.wait()
        self.server.close()

    def kill9(self) -> None:
        """Kill the server and all its backends at once."""
        self.server.kill9()
        self.server.close()

    def execute(self, sql: str, *args: object, database: str = "postgres") -> list[tuple]:
        """Run one statement outside a transaction, and hand back its rows, if it has any."""
        connection = psycopg2.connect(self.url(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, args)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def create_database(self, template: str = "template1") -> str:
        """The URL of a new database, empty or a copy of `template`."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {database_of(url)} WITH (FORCE)")

    def terminate_sessions(self, url: str) -> int:
        """End every session of one database; how many there were."""
        rows = self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            # Not the server's own workers, which come when they like.
            " WHERE datname = %s AND backend_type = 'client backend'",
            database_of(url),
        )
        return len(rows)

    def close(self) -> None:
        if self.server.running:
            try:
                self.stop(immediate=True)
            except subprocess.TimeoutExpired:
                self.kill9()
        shutil.rmtree(self.directory, ignore_errors=True)


def database_of(url: str) -> str:
    """The name of the database in one of our URLs."""
    return url.partition("@/")[2].partition("?")[0]


class Redis:
    """A Redis server that keeps nothing on disk: killed and started again it is empty."""

    def __init__(self, *options: str) -> None:
        self.program = find_program("redis-server", "redis-server")
        self.options = options
        self.directory = temporary_directory("redis")
        self.socket = self.directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.server: Child | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start, or start again after `stop` or `kill9`; returns when it takes connections."""
        self.server = Child(
            [self.program, "--port", "0", "--unixsocket", self.socket, "--save", ""]
            + ["--appendonly", "no", "--dir", self.directory, *self.options],
            cwd=self.directory,
        )
        self.server.wait_for_line("ready to accept connections")

    def stop(self) -> None:
        self.server.terminate()
        self.server.close()

    def kill9(self) -> None:
        self.server.kill9()
        self.server.close()

    def restart(self) -> None:
        """Kill it and start an empty one in its place."""
        self.kill9()
        self.start()

    def close(self) -> None:
        self.server.close()
        shutil.rmtree(self.directory, ignore_errors=True)
