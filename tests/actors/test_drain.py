"""Everybody is sent home, whenever they came."""

import asyncio

from actors.drain import drain
from tests.actors.full_nodes import Pair, Person
from tests.actors.redis_nodes import until


async def test_whoever_comes_in_while_others_are_sent_home_is_sent_home_too(pair: Pair):
    """A token that was still being checked when the drain began lets somebody in behind it."""
    router = pair.one.router
    early = await pair.one.person("ada")
    draining = asyncio.create_task(drain(router, 20.0))
    await until(lambda: early.wire.closed is not None)
    late = Person(pair.one, "bob")
    await until(lambda: late.wire.closed is not None)
    for person in (early, late):
        assert person.wire.closed[0] == 4102
        assert person.of("disconnect")[0]["retry_after_ms"] > 0
        router.detach(person.device, 4102)
    await asyncio.wait_for(draining, 5)
