"""Fixtures of the tests of actors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from actors import bus_redis, link_redis
from db.store import Store
from tests.actors.full_nodes import Pair
from tests.actors.redis_nodes import Nodes
from tests.support.servers import Redis


@pytest.fixture
def impatient() -> None:
    """This test is about a Redis that does not answer: the limits are those of the product."""


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all others a Redis that is late is a busy machine, and none that is lost."""
    if "impatient" not in request.fixturenames:
        monkeypatch.setattr(link_redis, "TIMEOUT", 30.0)
        monkeypatch.setattr(link_redis, "LONGEST", 30.0)
        monkeypatch.setattr(bus_redis, "DISTRUST", 30.0)


@pytest.fixture
def nodes(redis_server: Redis, io_loop: IOLoop) -> Iterator[Nodes]:
    """`await nodes.start("node_a")` is a node on this test's own Redis; all are stopped."""
    started = Nodes(redis_server.url)
    yield started
    io_loop.run_sync(started.close)


@pytest.fixture(params=["memory", "redis"])
def pair(request: pytest.FixtureRequest, io_loop: IOLoop, tmp_path: Path) -> Iterator[Pair]:
    redis_url = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    nodes = Pair()
    url = f"sqlite:///{tmp_path}/anmei.db"
    stores = [Store(url, readers=2, timeout_ms=30_000) for _ in range(2)]
    io_loop.run_sync(lambda: nodes.start(stores, redis_url))
    yield nodes
    io_loop.run_sync(nodes.stop)
