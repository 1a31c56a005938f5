"""A limit of a user is one limit, however many nodes the user asks."""

import asyncio

import pytest

from tests.support.http import Answer, Http

UNREAD = "/api/v1/unread"
BURST = 60


@pytest.mark.gen_test(timeout=100)
async def test_what_is_spent_on_one_node_is_missing_on_the_other(postgres_url, redis_server, start):
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_server.url}
    env |= {"ANMEI_LIMIT_REQUESTS_PER_SECOND": "1", "ANMEI_LIMIT_REQUESTS_BURST": str(BURST)}
    one, two = await start(env), await start(env)
    token = one.token("ada")
    here, there, bob = Http(one.url, token), Http(two.url, token), Http(two.url, two.token("bob"))

    async def refused_after() -> tuple[int, Answer]:
        """How many requests the other node lets through, asked ten times a second, and what it
        then says."""
        for count in range(BURST):
            answer = await there.get(UNREAD)
            if answer.status == 429:
                return count, answer
            await asyncio.sleep(0.1)
        raise AssertionError("it refuses nothing")

    answers = await asyncio.gather(*(here.get(UNREAD) for _ in range(BURST)))
    assert all(answer.status == 200 for answer in answers)
    # A second of delay is ten of them; the rest is for a busy machine.
    count, refusal = await refused_after()
    assert count <= 40
    assert refusal.headers["Retry-After"]
    assert (await bob.get(UNREAD)).status == 200
    for each in (here, there, bob):
        each.close()
