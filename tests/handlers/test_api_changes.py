"""The later life of messages over HTTP, on both databases."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from tornado.ioloop import IOLoop

from tests.handlers.api_routes import check_error
from tests.support.http import Http
from tests.support.process import AnmeiProcess

V1 = "/api/v1"
EVERYONE = ("alice", "bob", "mallory")


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("changes")
    url = f"sqlite:///{directory}/anmei.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").create_database()
    node = AnmeiProcess(directory, {"DATABASE_URL": url}).start()
    yield node
    node.close()


@pytest.fixture
def room(as_: Callable[..., Http], io_loop: IOLoop) -> str:
    """A conversation of alice and bob, in which bob is told about by nobody."""

    async def make() -> str:
        made = await as_("alice").post(
            f"{V1}/conversations", {"kind": "group", "participant_ids": ["bob"]}
        )
        return str(made.body["conversation_id"])

    return io_loop.run_sync(make)


async def say(who: Http, room: str, content: str = "hello", **more: Any) -> str:
    answer = await who.post(f"{V1}/conversations/{room}/messages", {"content": content, **more})
    assert answer.status == 201, answer
    return f"{V1}/messages/{answer.body['id']}"


async def test_a_message_is_read_edited_and_recalled_at_its_own_path(as_, room):
    alice, bob = as_("alice"), as_("bob")
    path = await say(bob, room, mentions=["alice"])
    edited = await bob.request("PATCH", path, {"content": "better", "mentions": []})
    assert edited.status == 200
    assert (edited.body["content"], edited.body["mentions"]) == ("better", [])
    assert edited.body["edited_at"] is not None
    assert (await alice.get(path)).body == edited.body
    assert (await bob.request("PATCH", path, {"content": "better"})).body == edited.body
    check_error(await alice.request("PATCH", path, {"content": "x"}), 403, "forbidden")
    recalled = await bob.post(f"{path}/recall")
    assert (recalled.status, recalled.body["content"]) == (200, "")
    assert recalled.body["recalled_at"] is not None
    assert (await alice.post(f"{path}/recall", {})).body == recalled.body
    check_error(await bob.request("PATCH", path, {"content": "x"}), 409, "conflict")


async def test_outsiders_see_nothing_that_tells_them_whether_a_message_is_there(as_, room):
    mallory, other = as_("mallory"), as_("bob", tenant="other")
    path = await say(as_("bob"), room)
    answers = []
    for who, where in ((mallory, path), (mallory, f"{V1}/messages/msg_0"), (other, path)):
        for method, suffix, body in (
            ("GET", "", None),
            ("PATCH", "", {"content": "x"}),
            ("POST", "/recall", None),
            ("GET", "/reactions", None),
            ("PUT", "/reactions/x", None),
            ("DELETE", "/reactions/x", None),
            ("PUT", "/pin", None),
            ("DELETE", "/pin", None),
            ("POST", "/forward", {"conversation_ids": [room]}),
        ):
            answer = await who.request(method, where + suffix, body)
            answers.append(check_error(answer, 404, "not_found")["message"])
    assert set(answers) == {"no such message, or not one of yours"}
    check_error(await mallory.get(f"{V1}/conversations/{room}/pins"), 404, "not_found")


async def test_reactions_are_put_listed_by_pages_and_taken_away(as_, room):
    alice, bob = as_("alice"), as_("bob")
    path = await say(bob, room)
    thumb = f"{path}/reactions/{quote('👍🏽')}"
    assert (await alice.request("PUT", thumb)).body["reactions"] == [
        {"emoji": "👍🏽", "count": 1, "user_ids": ["alice"]}
    ]
    await bob.request("PUT", thumb)
    await bob.request("PUT", f"{path}/reactions/{quote('a/b?', safe='')}")
    page = (await alice.get(f"{path}/reactions?limit=2")).body
    assert [each["emoji"] for each in page["reactions"]] == ["a/b?", "👍🏽"]
    rest = (await alice.get(f"{path}/reactions?limit=2&cursor={page['next_cursor']}")).body
    assert [each["user_id"] for each in rest["reactions"]] == ["bob"]
    assert rest["next_cursor"] is None
    only = (await alice.get(f"{path}/reactions?emoji={quote('👍🏽')}")).body["reactions"]
    assert [each["user_id"] for each in only] == ["alice", "bob"]
    left = await bob.delete(thumb)
    assert left.body["reactions"][0] == {"emoji": "👍🏽", "count": 1, "user_ids": ["alice"]}
    assert (await bob.delete(thumb)).body == left.body
    for bad in ("%20", "a%20b", "%00", "x" * 33, "%E2%80%8D", "%ff"):
        check_error(await bob.request("PUT", f"{path}/reactions/{bad}"), 400, "bad_request")


async def test_pins_are_set_by_any_member_and_listed(as_, room):
    alice, bob = as_("alice"), as_("bob")
    path = await say(alice, room)
    pinned = await bob.request("PUT", f"{path}/pin")
    assert (pinned.body["pinned_by"], pinned.status) == ("bob", 200)
    listed = (await alice.get(f"{V1}/conversations/{room}/pins")).body
    assert listed == {"messages": [pinned.body], "next_cursor": None}
    assert (await alice.delete(f"{path}/pin")).body["pinned_at"] is None
    assert (await alice.get(f"{V1}/conversations/{room}/pins")).body["messages"] == []


async def test_a_forward_is_one_message_each_and_the_same_again(as_, room):
    bob = as_("bob")
    path = await say(as_("alice"), room, "listen")
    made = await bob.post(f"{V1}/conversations", {"kind": "group", "participant_ids": ["x"]})
    targets = [made.body["conversation_id"], room]
    body = {"conversation_ids": targets}
    first = await bob.post(f"{path}/forward", body, headers={"Idempotency-Key": "k1"})
    assert first.status == 201
    assert [each["conversation_id"] for each in first.body["messages"]] == targets
    assert first.body["messages"][0]["forwarded_from"]["sender_name"] == "alice"
    again = await bob.post(f"{path}/forward", {**body, "client_msg_id": "k1"})
    assert (again.status, again.body) == (200, first.body)
    check_error(
        await bob.post(
            f"{path}/forward", {**body, "client_msg_id": "k2"}, headers={"Idempotency-Key": "k1"}
        ),
        400,
        "bad_request",
    )
    for bad in ([], [room] * 21, ["no such"]):
        answer = await bob.post(f"{path}/forward", {"conversation_ids": bad})
        check_error(answer, 400, "bad_request")


async def test_a_service_acts_in_somebodys_name_or_as_a_moderator(as_, room):
    robot = as_("robot", roles=["service"])
    path = await say(as_("bob"), room)
    check_error(await robot.request("PATCH", path, {"content": "x"}), 403, "forbidden")
    named = await robot.request("PATCH", path, {"content": "x", "sender_id": "bob"})
    assert named.body["content"] == "x"
    reacted = await robot.request("PUT", f"{path}/reactions/ok?sender_id=alice")
    assert reacted.body["reactions"][0]["user_ids"] == ["alice"]
    refused = await as_("alice").request("PUT", f"{path}/reactions/ok?sender_id=bob")
    check_error(refused, 403, "forbidden")
    assert (await robot.post(f"{path}/recall")).status == 200
    id = path.rpartition("/")[2]
    admin = as_("root", roles=["admin"])
    rows = (await admin.get(f"{V1}/audit?message_id={id}")).body["audit"]
    assert [(row["action"], row["actor_id"], row["agent_id"]) for row in rows] == [
        ("recall", "robot", None),
        ("react", "alice", "robot"),
        ("edit", "bob", "robot"),
    ]
    page = (await admin.get(f"{V1}/audit?conversation_id={room}&limit=2")).body
    rest = (await admin.get(f"{V1}/audit?conversation_id={room}&cursor={page['next_cursor']}")).body
    assert page["audit"] + rest["audit"] == rows
    assert (await admin.get(f"{V1}/audit?actor_id=alice&conversation_id={room}")).body["audit"] == [
        rows[1]
    ]
    check_error(await robot.get(f"{V1}/audit"), 403, "forbidden")
    check_error(await admin.get(f"{V1}/audit?cursor=x"), 400, "bad_request")


async def test_a_character_that_no_database_keeps_is_refused_in_the_url(as_, room):
    alice = as_("alice")
    path = await say(alice, room)
    for given in ("%00", "a%00b"):
        check_error(await alice.get(f"{path}/reactions?emoji={given}"), 400, "bad_request")
