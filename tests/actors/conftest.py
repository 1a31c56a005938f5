"""Fixtures of the tests of actors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from db.store import Store
from tests.actors.full_nodes import Pair
from tests.actors.redis_nodes import Nodes
from tests.support.servers import Redis


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
    stores = [Store(url, readers=2, timeout_ms=5_000) for _ in range(2)]
    io_loop.run_sync(lambda: nodes.start(stores, redis_url))
    yield nodes
    io_loop.run_sync(nodes.stop)
