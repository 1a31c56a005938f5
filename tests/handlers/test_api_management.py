"""Management over HTTP: what an admin sees and does, in the own tenant alone."""

from collections.abc import Callable

import pytest

from tests.handlers.api_routes import check_error
from tests.support.http import Http
from tests.support.process import AnmeiProcess

WS = "/api/v1/websocket"


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei()


@pytest.fixture
def admin(as_: Callable[..., Http]) -> Http:
    return as_("root", roles=["admin"])


async def test_an_admin_sees_the_connections_of_the_own_tenant(server, as_, admin, connect) -> None:
    phone = await connect(server, "alice", name="Alice", device_id="p1", device_type="mobile")
    await connect(server, "alice", device_id="d1", device_type="desktop")
    await connect(server, "bob", device_id="b1")
    await connect(server, "mallory", tenant="other", device_id="m1")

    stats = (await admin.get(f"{WS}/stats")).body
    assert list(stats) == [
        "total_connections",
        "active_connections",
        "messages_sent",
        "messages_received",
        "disconnections",
        "errors",
        "active_users",
        "active_sessions",
        "total_user_connections",
        "total_session_connections",
    ]
    assert (stats["total_connections"], stats["active_connections"]) == (3, 3)
    assert (stats["active_users"], stats["active_sessions"]) == (2, 0)

    seen, cursor = [], ""
    while cursor is not None:
        path = f"{WS}/connections?limit=2{cursor and '&cursor=' + cursor}"
        page = (await admin.get(path)).body
        assert len(page["connections"]) <= 2
        seen += page["connections"]
        cursor = page["next_cursor"]
    assert [one["metadata"]["device_id"] for one in seen] == ["p1", "d1", "b1"]
    assert {one["metadata"]["tenant"] for one in seen} == {"default"}
    first = seen[0]
    assert first["connection_id"] == phone.established["connection_id"]
    assert (first["user_id"], first["session_id"], first["is_alive"]) == ("alice", None, True)
    assert first["metadata"]["username"] == "Alice"
    assert (first["metadata"]["role"], first["metadata"]["device_type"]) == ("user", "mobile")
    assert first["connected_at"].endswith("Z")
    assert first["last_pong"].endswith("Z")

    mine = (await admin.get(f"{WS}/users/alice/connections")).body
    assert (mine["total"], len(mine["connections"])) == (2, 2)
    assert (await admin.get(f"{WS}/users/mallory/connections")).body["total"] == 0
    online = (await admin.get(f"{WS}/online-users?limit=1")).body
    assert online == {
        "users": [{"user_id": "alice", "status": "online"}],
        "total": 2,
        "next_cursor": "alice",
    }
    rest = (await admin.get(f"{WS}/online-users?cursor=alice")).body
    assert [one["user_id"] for one in rest["users"]] == ["bob"]
    health = (await admin.get(f"{WS}/health")).body
    assert (health["status"], health["total_connections"]) == ("healthy", 3)
    assert (health["nodes"], health["redis"], health["problems"]) == (1, None, {})
    others = as_("root", roles=["admin"], tenant="other")
    assert (await others.get(f"{WS}/stats")).body["total_connections"] == 1


async def test_a_disconnected_user_is_told_why_and_stays_away(server, as_, admin, connect) -> None:
    phone = await connect(server, "alice")
    laptop = await connect(server, "alice")
    bob = await connect(server, "bob")
    namesake = await connect(server, "alice", tenant="other")
    answer = await admin.post(f"{WS}/users/disconnect", {"user_id": "alice", "reason": "spam"})
    assert answer.body == {"user_id": "alice", "disconnected": 2, "nodes": 1}
    for device in (phone, laptop):
        await device.expect_close(4009)
        assert device.farewell is not None
        assert (device.farewell["reason"], device.farewell["reconnect"]) == ("spam", False)
    await bob.ping()
    await namesake.ping()
    answer = await admin.post(f"{WS}/users/disconnect", {"user_id": "nobody"})
    assert answer.body["disconnected"] == 0
    for wrong in ({}, {"user_id": "a/b"}, {"user_id": "a", "reason": "x" * 121}, {"user": "a"}):
        check_error(await admin.post(f"{WS}/users/disconnect", wrong), 400, "bad_request")


async def test_a_broadcast_reaches_everybody_of_the_tenant_and_nobody_else(
    server, admin, connect
) -> None:
    alice = await connect(server, "alice")
    bob = await connect(server, "bob")
    stranger = await connect(server, "alice", tenant="other")
    sent = await admin.post(
        f"{WS}/broadcast", {"message": "维护 at 5", "title": "Soon", "type": "warning"}
    )
    assert (sent.status, sent.body["delivered"], sent.body["nodes"]) == (200, 2, 1)
    for device in (alice, bob):
        event = await device.expect("system_notification")
        assert event.pop("timestamp").endswith("Z")
        assert event == {
            "id": sent.body["id"],
            "title": "Soon",
            "message": "维护 at 5",
            "type": "warning",
        }
    await stranger.expect_nothing("system_notification")
    for wrong in ({}, {"message": ""}, {"message": "x", "type": "loud"}, {"message": "x" * 4_097}):
        check_error(await admin.post(f"{WS}/broadcast", wrong), 400, "bad_request")


async def test_a_ping_is_answered_by_each_device(server, admin, connect) -> None:
    await connect(server, "alice")
    await connect(server, "alice")
    answer = await admin.post(f"{WS}/ping/alice")
    assert answer.body == {"user_id": "alice", "pinged": 2}
    shown = (await admin.get(f"{WS}/users/alice/connections")).body["connections"]
    assert all(one["last_ping"] is not None for one in shown)
    check_error(await admin.post(f"{WS}/ping/a%2fb"), 404, "not_found")


async def test_an_admin_mints_tokens_for_the_own_tenant(server, as_, admin) -> None:
    path = "/api/v1/tokens"
    made = await admin.post(path, {"user_id": "zoe", "name": "Zoë", "ttl_seconds": 60})
    assert made.status == 201
    assert made.body["expires_at"].endswith("Z")
    zoe = Http(server.url, made.body["token"])
    assert (await zoe.get("/api/v1/unread")).status == 200
    check_error(await zoe.get(f"{WS}/stats"), 403, "forbidden")
    zoe.close()
    check_error(await admin.post(path, {"user_id": "zoe", "tenant": "other"}), 403, "forbidden")
    others = as_("root", roles=["admin"], tenant="other")
    minted = await others.post(path, {"user_id": "root", "roles": ["admin"]})
    same = Http(server.url, minted.body["token"])
    check_error(await same.post(path, {"user_id": "x", "tenant": "default"}), 403, "forbidden")
    same.close()
    for wrong in (
        {},
        {"user_id": "a/b"},
        {"user_id": "a", "roles": ["god"]},
        {"user_id": "a", "roles": []},
        {"user_id": "a", "ttl_seconds": 0},
        {"user_id": "a", "ttl_seconds": 10**12},
        {"user_id": "a", "name": "a\nb"},
        {"user_id": "a", "exp": 1},
    ):
        check_error(await admin.post(path, wrong), 400, "bad_request")
