"""Tokens on live connections: the four ways in, warnings, expiry, refresh and replacement."""

import asyncio

import pytest

from tests.support.client import Client, RequestFailed

#: `exp` is a whole second and the server allows for clocks that differ; these tests want neither.
EXACT = {"JWT_LEEWAY": "0"}


@pytest.mark.parametrize("how", ["header", "subprotocol", "query", "frame"])
async def test_a_token_opens_the_door_in_each_of_four_ways_and_is_never_logged(
    small_node, connect, how
):
    """Section 6: header, subprotocol, query and first frame; row 29: no log line has it."""
    token = small_node.token("alice", name="Ada")
    client = await connect(small_node, "alice", token=token, how=how)
    assert (client.established["user_id"], client.established["name"]) == ("alice", "Ada")
    assert client.subprotocol == ("anmei.v1" if how == "subprotocol" else None)
    await client.close()
    await asyncio.to_thread(small_node.terminate)
    assert "/ws/chat" in small_node.log
    assert token not in small_node.log
    assert token.split(".")[1] not in small_node.log


async def test_whoever_shows_no_token_in_time_is_sent_away(start):
    """Section 6: no `authenticate` within ANMEI_AUTH_TIMEOUT is 4001, and so is another frame."""
    node = await start({"ANMEI_AUTH_TIMEOUT": "2000"})
    silent = await Client.connect(node.ws_url, None, wait=False)
    await silent.expect_close(4001)
    assert silent.farewell["reconnect"] is False
    await silent.close()
    hasty = await Client.connect(node.ws_url, None, wait=False)
    await hasty.send("ping", {}, "p")
    await hasty.expect_close(4001)
    assert hasty.of_type("pong") == []
    await hasty.close()


@pytest.mark.parametrize("how", ["header", "subprotocol", "query", "frame"])
async def test_a_token_that_does_not_hold_is_told_so(small_node, how):
    """Section 6: expired and forged tokens close with 4001, whichever way they came."""
    for token in (
        small_node.token("alice", ttl=-60),
        small_node.token("alice", exp=None),
        small_node.token("alice")[:-4] + "AAAA",
        "nonsense",
    ):
        client = await Client.connect(small_node.ws_url, token, how=how, wait=False)
        await client.expect_close(4001)
        assert client.of_type("connection_established") == []
        await client.close()


async def test_a_token_that_ends_is_announced_and_then_closes_the_connection(start, connect):
    """Row 31: token_expiring in time, and 4202 when it has expired."""
    node = await start(EXACT)
    client = await connect(node, "alice", ttl=10)
    warning = await client.expect("token_expiring")
    assert 0 < warning["expires_in_ms"] <= 10_000
    await client.expect_close(4202)
    assert client.farewell["reconnect"] is True


async def test_a_newer_token_keeps_the_connection_open(start, connect):
    """Row 31: refresh_token is answered with the new time, and the old one no longer counts."""
    node = await start(EXACT)
    refreshing, control = await connect(node, "alice", ttl=7), await connect(node, "bob", ttl=7)
    fresh = await refreshing.request("refresh_token", {"token": node.token("alice", ttl=3600)})
    assert fresh["expires_at"] > refreshing.established["token_expires_at"]
    # A connection that came at the same time, and did nothing, tells when the old time is over.
    await control.expect_close(4202)
    await refreshing.ping()
    assert not refreshing.closed
    assert refreshing.of_type("disconnect") == []


async def test_nobody_becomes_another_by_a_token(small_node, connect):
    """P8: another user's token, another tenant's or a broken one is refused and changes nothing."""
    client = await connect(small_node, "alice")
    for token, code in (
        (small_node.token("bob"), "forbidden"),
        (small_node.token("alice", tenant="other"), "forbidden"),
        (small_node.token("alice", ttl=-60), "unauthorized"),
        ("nonsense", "unauthorized"),
    ):
        with pytest.raises(RequestFailed) as refusal:
            await client.request("refresh_token", {"token": token})
        assert refusal.value.code == code
        assert refusal.value.retryable is False
    await client.ping()
    assert not client.closed


async def test_the_sixth_connection_replaces_the_oldest(small_node, make_room, connect):
    """Section 6: 4010 for the oldest, and the five that stay go on."""
    room = await make_room(small_node, "alice", "bob")
    devices = [await connect(small_node, "alice") for _ in range(6)]
    await devices[0].expect_close(4010)
    assert devices[0].farewell["reconnect"] is False
    bob = await connect(small_node, "bob")
    await bob.send_message(room, "to all five")
    for device in devices[1:]:
        await device.expect("new_message", content="to all five")
