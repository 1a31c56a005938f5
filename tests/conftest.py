"""Fixtures for every test: the guards, real databases, and Anmei itself."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tornado.ioloop import IOLoop

from tests.support.client import Clients
from tests.support.guards import *  # noqa: F403
from tests.support.process import AnmeiProcess
from tests.support.proxy import Proxy
from tests.support.servers import Postgres, PostgresFiles, Redis, temporary_directory

# How long an example takes says something of the machine, and of what else it does, alone.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

#: Files that mostly wait, for leases and timeouts of other processes: begun first, so that no
#: process is left alone with one of them at the end. The longest first.
LONG = (
    "tests/nodes/test_chaos_minute.py",
    "tests/nodes/test_chaos.py",
    "tests/actors/test_presence_redis.py",
    "tests/actors/test_bus_redis.py",
    "tests/browser/test_page_talk.py",
    "tests/browser/test_page_looks.py",
    "tests/browser/test_page_sign_in.py",
    "tests/actors/test_link_redis.py",
    "tests/test_docs_live.py",
)


class LongFirst:
    """Puts the tests of those files before all others."""

    @staticmethod
    def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
        ranks = {config.rootpath / name: rank for rank, name in enumerate(LONG)}
        items.sort(key=lambda item: ranks.get(item.path, len(LONG)))


def pytest_collection(session: pytest.Session) -> None:
    session.config.pluginmanager.register(LongFirst())


@pytest.fixture(scope="session")
def postgres_files() -> Iterator[PostgresFiles]:
    files = PostgresFiles()
    yield files
    files.close()


@pytest.fixture(scope="session")
def postgres(postgres_files: PostgresFiles) -> Iterator[Postgres]:
    """The PostgreSQL server that all tests share; nobody stops it. Not safe against a power cut:
    a test about durability takes `own_postgres`."""
    server = Postgres(postgres_files, fsync=False)
    yield server
    server.close()


@pytest.fixture
def own_postgres(postgres_files: PostgresFiles) -> Iterator[Postgres]:
    """A PostgreSQL server of this test alone, with fsync on, to be stopped and killed at will."""
    server = Postgres(postgres_files)
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty PostgreSQL database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path}/anmei.db"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind: the test runs once with either."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    """A Redis server of this test alone, to be stopped and killed at will."""
    server = Redis()
    yield server
    server.close()


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    """`proxy(target)` stands before a TCP port or a unix socket; see `tests.support.proxy`."""
    made: list[Proxy] = []
    directories: list[Path] = []

    def make(target: Path | int) -> Proxy:
        listen = None
        if isinstance(target, Path):
            # The same name in another directory: PostgreSQL's URL names the directory alone.
            directories.append(temporary_directory("proxy"))
            listen = directories[-1] / target.name
        made.append(Proxy(target, listen))
        return made[-1]

    yield make
    for each in made:
        each.close()
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def anmei(tmp_path: Path) -> Iterator[Callable[..., AnmeiProcess]]:
    """`anmei(env)` starts a node, each with a data directory of its own unless `data_dir` names
    one. At the end each is stopped, and must have written no unexpected line."""
    nodes: list[AnmeiProcess] = []

    def start(
        env: dict[str, str] | None = None, *, data_dir: Path | None = None, **options: object
    ) -> AnmeiProcess:
        if data_dir is None:
            data_dir = tmp_path / f"node{len(nodes) + 1}"
            data_dir.mkdir()
        node = AnmeiProcess(data_dir, env, **options)
        nodes.append(node)
        return node.start()

    yield start
    problems = []
    for node in nodes:
        try:
            node.close()
        except AssertionError as problem:
            problems.append(str(problem))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def connect(io_loop: IOLoop) -> Iterator[Clients]:
    """`await connect(node, "alice")` is a `Client`; all are closed, and judged, at the end."""
    clients = Clients()
    yield clients
    io_loop.run_sync(clients.close)
