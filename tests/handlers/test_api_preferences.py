"""What devices of one user share, and how far a message has come, over HTTP."""

from collections.abc import Callable

import pytest

from tests.handlers.api_routes import check_error
from tests.support.process import AnmeiProcess

ROOM = "/api/v1/conversations/room"


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei()


async def test_what_is_set_over_http_reaches_the_devices_and_is_listed(as_, server, connect):
    alice, backend = as_("alice"), as_("shop", roles=["service"])
    made = {"kind": "group", "id": "room", "participant_ids": ["bob"]}
    assert (await alice.post("/api/v1/conversations", made)).status == 201
    device = await connect(server, "alice")
    path = f"{ROOM}/preferences"
    body = {"muted": True, "mute_seconds": 60, "pinned": True, "draft": "Shall"}
    answer = await alice.request("PUT", path, body)
    assert answer.status == 200
    assert (await device.expect("preference_update"))["preferences"] == [answer.body]
    listed = (await alice.get("/api/v1/preferences")).body
    assert listed == {"preferences": [answer.body], "next_after_seq": None}
    ack = await device.request("mute_conversation", {"conversation_id": "room", "on": False})
    assert (ack["muted"], ack["draft"]) == (False, "Shall")
    listed = (await backend.get("/api/v1/preferences?user_id=alice")).body
    assert listed["preferences"] == [ack]
    assert (await as_("bob").get("/api/v1/preferences")).body["preferences"] == []
    check_error(await alice.request("PUT", path, {}), 400, "bad_request")
    check_error(await alice.request("PUT", path, {"draft": "x" * 4_097}), 413, "too_large")
    check_error(await as_("eve").request("PUT", path, {"pinned": True}), 404, "not_found")
    check_error(await as_("bob").get("/api/v1/preferences?user_id=alice"), 403, "forbidden")


async def test_the_sender_and_backends_learn_how_far_a_message_has_come(as_):
    alice, bob, backend = as_("alice"), as_("bob"), as_("shop", roles=["service"])
    made = {"kind": "group", "id": "room", "participant_ids": ["bob"]}
    assert (await alice.post("/api/v1/conversations", made)).status == 201
    message = (await alice.post(f"{ROOM}/messages", {"content": "x"})).body
    path = f"/api/v1/messages/{message['id']}/status"
    assert (await alice.get(path)).body["status"] == "sent"
    assert (await bob.post(f"{ROOM}/read", {"message_ids": [message["id"]]})).status == 200
    status = (await alice.get(path)).body
    assert (status["status"], status["recipients"], status["read"]) == ("read", 1, 1)
    assert status["receipts"][0]["user_id"] == "bob"
    assert status["receipts"][0]["read_at"] >= status["sent_at"]
    assert (await backend.get(path)).body == status
    absent = check_error(await alice.get("/api/v1/messages/absent/status"), 404, "not_found")
    hidden = check_error(await bob.get(path), 404, "not_found")
    assert absent["message"] == hidden["message"]
