"""Admins take tokens back, in their own tenant alone."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from anmei.clock import to_wire
from tests.handlers.api_routes import check_error
from tests.support.client import Client, RequestFailed
from tests.support.http import Http
from tests.support.process import ROOT, AnmeiProcess

REVOKE, LIST = "/api/v1/tokens/revoke", "/api/v1/tokens/revocations"
UNREAD = "/api/v1/unread"


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei({"ANMEI_LIMIT_REVOCATIONS": "30"})


@pytest.fixture
def admin(as_: Callable[..., Http]) -> Http:
    return as_("root", roles=["admin"])


def command(server: AnmeiProcess, *words: str) -> "subprocess.CompletedProcess[str]":
    """`run.py` with these words, in the server's own environment."""
    return subprocess.run(
        [sys.executable, ROOT / "run.py", *words],
        env=server.env,
        cwd=server.data_dir,
        capture_output=True,
        text=True,
    )


async def check_refused(server: AnmeiProcess, token: str) -> None:
    """The token opens none of the doors."""
    http = Http(server.url, token)
    check_error(await http.get(UNREAD), 401, "unauthorized")
    http.close()
    for how in ("header", "frame"):
        client = await Client.connect(server.ws_url, token, how=how, wait=False)
        await client.expect_close(4001)
        assert client.of_type("connection_established") == []
        await client.close()


async def test_one_token_is_taken_back_and_opens_no_door_after_a_restart_either(
    server, as_, admin, connect
) -> None:
    taken, kept = server.token("alice", jti="t/1"), server.token("alice", jti="t/2")
    phone = await connect(server, "alice", token=taken)
    laptop = await connect(server, "alice", token=kept)
    answer = await admin.post(REVOKE, {"jti": "t/1"})
    assert (answer.status, answer.body["jti"], answer.body["user_id"]) == (200, "t/1", None)
    assert (answer.body["disconnected"], answer.body["nodes"]) == (1, 1)
    await phone.expect_close(4001)
    assert "revoked" in phone.farewell["reason"]
    assert phone.farewell["reconnect"] is False
    await laptop.ping()
    await check_refused(server, taken)
    others = server.token("alice", jti="t/1", tenant="other")
    await connect(server, "alice", token=others)
    await asyncio.to_thread(server.restart)
    await check_refused(server, taken)
    await connect(server, "alice", token=kept)


async def test_all_tokens_of_a_user_are_taken_back_and_the_next_one_holds(
    server, admin, connect
) -> None:
    old = [server.token("alice", jti=str(number)) for number in range(2)]
    unnamed = server.token("alice", iat=None)
    devices = [await connect(server, "alice", token=token) for token in (*old, unnamed)]
    bob = await connect(server, "bob")
    minted = (await admin.post("/api/v1/tokens", {"user_id": "alice"})).body["token"]
    devices.append(await connect(server, "alice", token=minted))
    answer = (await admin.post(REVOKE, {"user_id": "alice"})).body
    assert (answer["user_id"], answer["jti"], answer["disconnected"]) == ("alice", None, 4)
    for device in devices:
        await device.expect_close(4001)
    for token in (old[0], unnamed, minted):
        await check_refused(server, token)
    await bob.ping()
    # Not a second later: our own tokens say when they were issued to the millisecond.
    minted = (await admin.post("/api/v1/tokens", {"user_id": "alice"})).body["token"]
    await connect(server, "alice", token=minted)


async def test_a_moment_may_be_given(server, admin, connect) -> None:
    now = time.time()
    before = server.token("alice", iat=now - 100)
    after = server.token("alice", iat=now - 50)
    first, second = [await connect(server, "alice", token=token) for token in (before, after)]
    moment = to_wire(int((now - 75) * 1000))
    answer = await admin.post(REVOKE, {"user_id": "alice", "before": moment})
    assert (answer.body["before"], answer.body["disconnected"]) == (moment, 1)
    await first.expect_close(4001)
    await second.ping()
    await check_refused(server, before)


async def test_a_connection_lives_as_long_as_the_token_it_has_now(server, admin, connect) -> None:
    first, second, third = (server.token("alice", jti=str(number)) for number in range(3))
    phone = await connect(server, "alice", token=first)
    await phone.request("refresh_token", {"token": second})
    assert (await admin.post(REVOKE, {"jti": "0"})).body["disconnected"] == 0
    await phone.ping()
    assert (await admin.post(REVOKE, {"jti": "2"})).body["disconnected"] == 0
    with pytest.raises(RequestFailed, match="revoked"):
        await phone.request("refresh_token", {"token": third})
    await phone.ping()
    assert (await admin.post(REVOKE, {"jti": "1"})).body["disconnected"] == 1
    await phone.expect_close(4001)


async def test_what_is_revoked_is_listed_to_the_own_tenant_in_pages(server, as_, admin) -> None:
    for number in range(5):
        await admin.post(REVOKE, {"jti": f"t{number}"})
    await admin.post(REVOKE, {"jti": "t1"})
    other = as_("root", roles=["admin"], tenant="other")
    await other.post(REVOKE, {"user_id": "alice"})
    seen, cursor = [], ""
    while cursor is not None:
        page = (await admin.get(f"{LIST}?limit=2{cursor and '&cursor=' + cursor}")).body
        assert len(page["revocations"]) <= 2
        seen += page["revocations"]
        cursor = page["next_cursor"]
    assert [one["jti"] for one in seen] == ["t1", "t4", "t3", "t2", "t0"]
    assert list(seen[0]) == ["jti", "user_id", "before", "created_at", "expires_at"]
    (only,) = (await other.get(LIST)).body["revocations"]
    assert only["user_id"] == "alice"


async def test_nobody_but_an_admin_and_nothing_but_one_thing(server, as_, admin) -> None:
    for user, role in (("alice", "user"), ("backend", "service")):
        check_error(await as_(user, roles=[role]).post(REVOKE, {"jti": "1"}), 403, "forbidden")
        check_error(await as_(user, roles=[role]).get(LIST), 403, "forbidden")
    for wrong in (
        {},
        {"jti": "1", "user_id": "alice"},
        {"jti": "1", "before": "2026-01-02T03:04:05.678Z"},
        {"jti": ""},
        {"jti": "x" * 129},
        {"jti": "a\nb"},
        {"jti": 5},
        {"user_id": "a/b"},
        {"user_id": "alice", "before": "2999-01-02T03:04:05.678Z"},
        {"user_id": "alice", "before": "2026-01-02T03:04:05"},
        {"user_id": "alice", "before": "soon"},
        {"user_id": "alice", "tenant": "other"},
    ):
        check_error(await admin.post(REVOKE, wrong), 400, "bad_request")
    check_error(await admin.get(f"{LIST}?cursor=nonsense"), 400, "bad_request")
    for number in range(30):
        assert (await admin.post(REVOKE, {"jti": str(number)})).status == 200
    check_error(await admin.post(REVOKE, {"jti": "one more"}), 413, "too_large")
    assert (await admin.post(REVOKE, {"jti": "3"})).status == 200


async def test_the_command_line_revokes_beside_a_running_server(server, connect) -> None:
    token = server.token("alice", jti="lost phone")
    alice, bob = await connect(server, "alice", token=token), await connect(server, "bob")
    for more in (["--jti", "lost phone"], ["--user", "bob"]):
        done = await asyncio.to_thread(command, server, "token", "--revoke", *more)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("revoked ")
    await alice.expect_close(4001)
    await bob.expect_close(4001)
