"""Clients of the HTTP API."""

from collections.abc import Callable, Iterator

import pytest
from tornado.ioloop import IOLoop

from tests.support.http import Http
from tests.support.process import AnmeiProcess
from tests.support.servers import Postgres


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def shared_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> Iterator[AnmeiProcess]:
    """A server on each database for tests that keep apart by their users and conversations."""
    env = {"ANMEI_SEARCH_INTERVAL": "20"}
    if request.param == "postgres":
        env["DATABASE_URL"] = postgres.create_database()
    node = AnmeiProcess(tmp_path_factory.mktemp("shared"), env)
    yield node.start()
    node.close()


@pytest.fixture
def as_(server: AnmeiProcess, io_loop: IOLoop) -> Iterator[Callable[..., Http]]:
    """`as_("alice", roles=…)` asks `server` with such a token, `as_(None)` without."""
    made: list[Http] = []

    def make(user: str | None, **options: object) -> Http:
        token = None if user is None else server.token(user, **options)
        made.append(Http(server.url, token))
        return made[-1]

    yield make
    for each in made:
        each.close()
