"""What a look at Redis finds."""

import asyncio

import redis.asyncio

from actors.checkup_redis import check_up
from actors.doctor import examine
from actors.link_redis import make_link
from anmei.settings import Settings
from tests.support.servers import Redis


async def test_a_redis_that_is_well_says_who_it_is(redis_server: Redis) -> None:
    link = make_link(redis_server.url)
    found = await check_up(link, "anmei")
    assert (found.reachable, found.writable, found.problem) == (True, True, None)
    assert found.version is not None
    assert found.version[0].isdigit()
    assert found.clock_off_ms is not None
    assert abs(found.clock_off_ms) < 5_000
    await link.close()


async def test_one_that_takes_no_writes_or_is_gone_is_said_to_be(redis_server: Redis) -> None:
    link = make_link(redis_server.url)
    client = redis.asyncio.Redis.from_url(redis_server.url)
    await client.execute_command("REPLICAOF", "127.0.0.1", "1")
    found = await check_up(link, "anmei")
    assert (found.reachable, found.writable) == (True, False)
    assert "READONLY" in str(found.problem)
    await client.execute_command("REPLICAOF", "NO", "ONE")
    await client.aclose()
    await asyncio.to_thread(redis_server.kill9)
    found = await check_up(link, "anmei")
    assert (found.reachable, found.writable) == (False, False)
    assert "cannot be used" in str(found.problem)
    await link.close()


async def test_the_doctor_looks_at_it_where_it_is_set(
    redis_server: Redis, sqlite_url: str, tmp_path: object
) -> None:
    def look(**settings: str) -> dict[str, bool]:
        found = examine(Settings(data_dir=str(tmp_path), **settings), sqlite_url)
        return {finding.what: finding.ok for finding in found}

    assert "redis" not in await asyncio.to_thread(look)
    assert (await asyncio.to_thread(look, redis_url=redis_server.url))["redis"] is True
    await asyncio.to_thread(redis_server.kill9)
    assert (await asyncio.to_thread(look, redis_url=redis_server.url))["redis"] is False
