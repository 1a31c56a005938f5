"""Fixtures of the tests of actors."""

from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from tests.actors.redis_nodes import Nodes
from tests.support.servers import Redis


@pytest.fixture
def nodes(redis_server: Redis, io_loop: IOLoop) -> Iterator[Nodes]:
    """`await nodes.start("node_a")` is a node on this test's own Redis; all are stopped."""
    started = Nodes(redis_server.url)
    yield started
    io_loop.run_sync(started.close)
