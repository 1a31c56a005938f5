"""A limit of a user is one limit, however many nodes the user asks."""

import asyncio

import pytest

from tests.support.http import Http

UNREAD = "/api/v1/unread"
BURST = 60


@pytest.mark.gen_test(timeout=60)
async def test_what_is_spent_on_one_node_is_missing_on_the_other(postgres_url, redis_server, start):
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_server.url}
    env |= {"ANMEI_LIMIT_REQUESTS_PER_SECOND": "1", "ANMEI_LIMIT_REQUESTS_BURST": str(BURST)}
    one, two = await start(env), await start(env)
    token = one.token("ada")
    here, there, bob = Http(one.url, token), Http(two.url, token), Http(two.url, two.token("bob"))

    async def refused_after() -> int:
        """How many requests the other node lets through, asked ten times a second."""
        for count in range(BURST):
            if (await there.get(UNREAD)).status == 429:
                return count
            await asyncio.sleep(0.1)
        return BURST

    answers = await asyncio.gather(*(here.get(UNREAD) for _ in range(BURST)))
    assert all(answer.status == 200 for answer in answers)
    # A second of delay is ten of them; the rest is for a busy machine.
    assert await refused_after() <= 40
    assert (await there.get(UNREAD)).headers["Retry-After"]
    assert (await bob.get(UNREAD)).status == 200
    for each in (here, there, bob):
        each.close()
