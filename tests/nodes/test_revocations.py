"""A revoked token holds nowhere: two processes, with Redis and without it."""

import asyncio
import contextlib
import time

import pytest
from tornado.websocket import WebSocketClosedError

from tests.actors.redis_nodes import until
from tests.support.client import Client, Disconnected, RequestFailed
from tests.support.http import Http

REVOKE = "/api/v1/tokens/revoke"
PROMISE = 1.0  # seconds within which it holds everywhere
NOISE = 15.0  # seconds that a busy machine may add
HOW = ("header", "frame")


def admin_of(node) -> Http:
    return Http(node.url, node.token("root", roles=["admin"]))


@pytest.mark.gen_test(timeout=110)
async def test_it_holds_on_the_other_node_also_while_redis_is_gone_and_after_a_restart(
    postgres_url, redis_server, start, connect
):
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_server.url}
    one, two = await start(env), await start(env)
    for node in (one, two):
        node.expects_log("Redis cannot be reached|Redis is back|others read in Redis")
    tokens = [one.token("ada", jti=f"t{number}") for number in range(3)]
    devices = [await connect(two, "ada", token=token) for token in tokens]
    bob = await connect(two, "bob")
    admin = admin_of(one)

    answer = (await admin.post(REVOKE, {"jti": "t0"})).body
    assert (answer["disconnected"], answer["nodes"]) == (0, 2)
    await devices[0].expect_close(4001)

    await asyncio.to_thread(redis_server.kill9)
    begun = time.monotonic()
    assert (await admin.post(REVOKE, {"jti": "t1"})).status == 200
    await devices[1].expect_close(4001)
    assert time.monotonic() - begun < PROMISE + NOISE
    assert (await admin.post(REVOKE, {"user_id": "ada"})).status == 200
    await devices[2].expect_close(4001)
    await bob.ping()

    await asyncio.to_thread(redis_server.start)
    await asyncio.to_thread(two.restart)
    for token in tokens:
        client = await Client.connect(two.ws_url, token, wait=False)
        await client.expect_close(4001)
        await client.close()
    admin.close()


@pytest.mark.gen_test(timeout=110)
async def test_whoever_comes_or_refreshes_while_it_is_revoked_does_not_stay(
    postgres_url, redis_server, start
):
    """Connects, first frames and refreshes on both nodes race a revocation; a second after it none
    of them lives by that token."""
    env = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_server.url}
    env |= {"ANMEI_LIMIT_CONNECTIONS_PER_USER": "1000"}
    one, two = await start(env), await start(env)
    admin, stop = admin_of(one), asyncio.Event()
    taken = one.token("ada", jti="taken")
    living: list[Client] = []
    refused = 0

    async def come(node, how: str) -> None:
        nonlocal refused
        while not stop.is_set():
            client = await Client.connect(node.ws_url, taken, how=how, wait=False)
            living.append(client)
            try:
                await client.expect("connection_established")
            except Disconnected:
                refused += 1
                await asyncio.sleep(0.01)

    async def refresh(client: Client) -> None:
        with contextlib.suppress(RequestFailed, Disconnected, WebSocketClosedError):
            while not stop.is_set():
                await client.request("refresh_token", {"token": taken})

    for number, node in enumerate((one, two) * 3):
        client = await Client.connect(node.ws_url, node.token("ada", jti=f"own {number}"))
        living.append(client)
        await client.request("refresh_token", {"token": taken})
    tasks = [asyncio.create_task(come(node, how)) for node in (one, two) for how in HOW]
    tasks += [asyncio.create_task(refresh(client)) for client in living]
    await until(lambda: len(living) >= 20)
    assert (await admin.post(REVOKE, {"jti": "taken"})).status == 200
    for _ in range(2):
        await admin.post(REVOKE, {"jti": "taken"})
    await until(lambda: refused >= 20)
    stop.set()
    await asyncio.gather(*tasks)
    for client in living:
        await client.expect_close(4001, timeout=PROMISE + NOISE)
        await client.close()
    admin.close()
