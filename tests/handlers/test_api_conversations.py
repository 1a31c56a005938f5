"""Conversations over HTTP, on both databases: who makes them, who sees them, who is in them."""

from collections.abc import Callable

import pytest

from tests.handlers.api_routes import check_error, without_id
from tests.support.http import Http
from tests.support.process import AnmeiProcess

PATH = "/api/v1/conversations"

#: What a new conversation may not hold.
WRONG = (
    {"kind": "secret"},
    {"kind": None},
    {"title": ""},
    {"title": "x" * 201},
    {"title": "two\nlines"},
    {"title": "a\x00b"},
    {"title": "a\u202eb"},
    {"id": "../etc"},
    {"id": "default/lobby"},
    {"id": "x" * 129},
    {"id": "a\n"},
    {"participant_ids": ["bob", "no/pe"]},
    {"participant_ids": "bob"},
    {"participant_ids": None},
    {"tenant": "other"},
    {"created_at": 1},
    {"last_seq": 7},
    {"role": "admin"},
    {"is_admin": True},
    {"conversation_id": "mine"},
)
QUERIES = ("limit=0", "limit=201", "limit=x", "limit=1&limit=2", "cursor=x", "cursor=", "a=b")


@pytest.fixture
def server(database_url: str, anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei(
        {
            "DATABASE_URL": database_url,
            "ANMEI_LIMIT_MEMBERS": "5",
            "ANMEI_LIMIT_CONVERSATIONS_PER_OWNER": "6",
        }
    )


async def make(client: Http, **body: object) -> dict:
    answer = await client.post(PATH, {"kind": "group", **body})
    assert answer.status == 201, answer
    return answer.body


async def test_whoever_makes_a_conversation_owns_it(as_) -> None:
    answer = await as_("alice").post(
        PATH, {"kind": "group", "title": " 茶 & tea ", "participant_ids": ["bob", "bob", "alice"]}
    )
    assert answer.status == 201
    made = answer.body
    assert answer.headers["Location"] == f"{PATH}/{made['conversation_id']}"
    assert (made["kind"], made["title"], made["owner_id"]) == ("group", "茶 & tea", "alice")
    assert made["participant_count"] == 2
    assert [one["user_id"] for one in made["participants"]] == ["alice", "bob"]
    assert [one["role"] for one in made["participants"]] == ["owner", "member"]
    for user in ("alice", "bob"):
        head = (await as_(user).get(f"{PATH}/{made['conversation_id']}")).body
        assert head["unread"] == 0
        assert head["last_message"] is None


async def test_the_same_idempotency_key_makes_one_conversation(as_) -> None:
    alice, bob = as_("alice"), as_("bob")
    key = {"Idempotency-Key": "once"}
    first = await alice.post(PATH, {"kind": "group"}, headers=key)
    again = await alice.post(PATH, {"kind": "group", "title": "other"}, headers=key)
    others = await bob.post(PATH, {"kind": "group"}, headers=key)
    assert [first.status, again.status, others.status] == [201, 200, 201]
    assert again.body == first.body
    assert others.body["conversation_id"] != first.body["conversation_id"]
    for body in ({"kind": "direct", "participant_ids": ["bob"]}, {"kind": "consultation"}):
        another = await alice.post(PATH, body, headers=key)
        assert (another.status, another.body) == (200, first.body)
    for bad in ("", "a b", "é", "x" * 256):
        answer = await alice.post(PATH, {"kind": "group"}, headers={"Idempotency-Key": bad})
        check_error(answer, 400, "bad_request")


async def test_two_people_have_one_direct_conversation(as_) -> None:
    first = await as_("alice").post(PATH, {"kind": "direct", "participant_ids": ["bob"]})
    again = await as_("bob").post(PATH, {"kind": "direct", "participant_ids": ["alice"]})
    assert [first.status, again.status] == [201, 200]
    assert again.body["conversation_id"] == first.body["conversation_id"]
    for participants in ([], ["alice"], ["bob", "carol"]):
        body = {"kind": "direct", "participant_ids": participants}
        check_error(await as_("alice").post(PATH, body), 400, "bad_request")


async def test_an_id_that_is_taken_is_a_conflict_in_its_tenant_alone(as_) -> None:
    await make(as_("alice"), id="tea")
    for user in ("alice", "eve"):
        check_error(await as_(user).post(PATH, {"kind": "group", "id": "tea"}), 409, "conflict")
    await make(as_("alice", tenant="other"), id="tea")


async def test_only_a_backend_makes_system_conversations_or_names_the_owner(as_) -> None:
    alice, backend = as_("alice"), as_("backend", roles=["service"])
    check_error(await alice.post(PATH, {"kind": "system"}), 403, "forbidden")
    check_error(await alice.post(PATH, {"kind": "group", "owner_id": "bob"}), 403, "forbidden")
    assert (await make(alice, owner_id="alice"))["owner_id"] == "alice"
    made = await make(backend, kind="system", owner_id="alice", participant_ids=["bob"])
    assert (made["kind"], made["owner_id"], made["participant_count"]) == ("system", "alice", 2)
    listed = await backend.get(f"{PATH}?user_id=bob")
    assert [one["conversation_id"] for one in listed.body["conversations"]] == [
        made["conversation_id"]
    ]
    check_error(await alice.get(f"{PATH}?user_id=bob"), 403, "forbidden")


async def test_what_does_not_fit_is_refused_and_makes_nothing(as_) -> None:
    alice = as_("alice")
    for wrong in WRONG:
        check_error(await alice.post(PATH, {"kind": "group", **wrong}), 400, "bad_request")
    assert (await alice.get(PATH)).body == {"conversations": [], "next_cursor": None}


async def test_no_conversation_grows_past_the_limit(as_) -> None:
    alice = as_("alice")
    many = [f"user{number}" for number in range(5)]
    check_error(
        await alice.post(PATH, {"kind": "group", "participant_ids": many}), 413, "too_large"
    )
    made = await make(alice, participant_ids=many[:4])
    people = f"{PATH}/{made['conversation_id']}/participants"
    check_error(await alice.post(people, {"user_ids": many[4:]}), 413, "too_large")
    answer = await alice.post(people, {"user_ids": many[:4]})
    assert (answer.status, answer.body["participant_count"]) == (200, 5)


async def test_nobody_but_a_backend_makes_more_than_one_may_own(as_) -> None:
    alice = as_("alice")
    for _ in range(6):
        await make(alice)
    error = check_error(await alice.post(PATH, {"kind": "group"}), 413, "too_large")
    assert "ANMEI_LIMIT_CONVERSATIONS_PER_OWNER" in error["message"]
    await make(as_("backend", roles=["service"]), owner_id="alice")
    await make(as_("bob"))


async def test_the_owner_adds_and_removes_and_others_only_leave(as_) -> None:
    alice, bob, carol = as_("alice"), as_("bob"), as_("carol")
    made = await make(alice, participant_ids=["bob"])
    path = f"{PATH}/{made['conversation_id']}"
    check_error(await bob.post(f"{path}/participants", {"user_ids": ["carol"]}), 403, "forbidden")
    answer = await alice.post(f"{path}/participants", {"user_ids": ["carol"]})
    assert (answer.status, answer.body["participant_count"]) == (200, 3)
    check_error(await bob.delete(f"{path}/participants/carol"), 403, "forbidden")
    check_error(await alice.delete(f"{path}/participants/alice"), 400, "bad_request")
    check_error(await alice.delete(f"{path}/participants/nobody"), 404, "not_found")
    assert (await bob.delete(f"{path}/participants/bob")).status == 200
    check_error(await bob.get(path), 404, "not_found")
    assert (await alice.delete(f"{path}/participants/carol")).body["participant_count"] == 1
    check_error(await carol.get(path), 404, "not_found")
    backend = as_("backend", roles=["service"])
    assert (await backend.post(f"{path}/participants", {"user_ids": ["bob"]})).status == 200
    assert (await bob.get(path)).status == 200


async def test_lists_come_in_pages_that_neither_repeat_nor_leave_out(as_) -> None:
    alice = as_("alice")
    made = [(await make(alice))["conversation_id"] for _ in range(5)]
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await alice.get(f"{PATH}?limit=2{cursor and '&cursor=' + cursor}")).body
        assert len(page["conversations"]) <= 2
        seen += [one["conversation_id"] for one in page["conversations"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(made)
    assert len(seen) == 5

    users = ["bob", "carol", "dave", "erin"]
    await alice.post(f"{PATH}/{made[0]}/participants", {"user_ids": users})
    people, cursor = [], ""
    while cursor is not None:
        path = f"{PATH}/{made[0]}/participants?limit=2{cursor and '&cursor=' + cursor}"
        page = (await alice.get(path)).body
        people += [one["user_id"] for one in page["participants"]]
        cursor = page["next_cursor"]
    assert people == ["alice", *users]


async def test_a_parameter_that_makes_no_sense_is_refused(as_) -> None:
    for query in QUERIES:
        check_error(await as_("alice").get(f"{PATH}?{query}"), 400, "bad_request")


async def test_a_stranger_sees_what_he_would_see_if_it_did_not_exist(as_) -> None:
    alice = as_("alice")
    made = await make(alice, participant_ids=["bob"])
    there = made["conversation_id"]
    sent = await alice.post(f"{PATH}/{there}/messages", {"content": "hello"})
    gone = "conv_" + "0" * (len(there) - 5)
    members = (await alice.get(f"{PATH}/{there}")).body
    strangers = {
        "a user": as_("eve"),
        "another tenant's namesake": as_("alice", tenant="other"),
        "another tenant's admin": as_("root", roles=["admin"], tenant="other"),
        "another tenant's backend": as_("backend", roles=["service"], tenant="other"),
    }
    calls = [
        ("GET", "", None),
        ("HEAD", "", None),
        ("GET", "/participants", None),
        ("GET", "/participants?limit=1", None),
        ("GET", "/participants?cursor=x", None),
        ("POST", "/participants", {"user_ids": ["eve"]}),
        ("POST", "/participants", {"user_ids": [f"u{number}" for number in range(9)]}),
        ("POST", "/participants", {"user_ids": []}),
        ("DELETE", "/participants/eve", None),
        ("DELETE", "/participants/alice", None),
        ("DELETE", "/participants/bob", None),
        ("DELETE", "/participants/%20", None),
        ("GET", "/messages", None),
        ("GET", "/messages?after_seq=0", None),
        ("POST", "/messages", {"content": "let me in"}),
        ("POST", "/messages", {"content": "x", "reply_to": sent.body["id"]}),
        ("POST", "/messages", {"content": "x" * 70_000}),
        ("POST", "/messages", {"nonsense": 1}),
        ("POST", "/messages", {"content": "x", "client_msg_id": sent.body["client_msg_id"]}),
        ("POST", "/read", {"seq": 1}),
        ("POST", "/read", {"message_ids": [sent.body["id"]]}),
        ("PUT", "", {}),
        ("OPTIONS", "", None),
    ]
    for who, client in strangers.items():
        for method, path, body in calls:
            real = await client.request(method, f"{PATH}/{there}{path}", body)
            absent = await client.request(method, f"{PATH}/{gone}{path}", body)
            assert without_id(real) == without_id(absent), (who, method, path)
            assert real.status >= 400 or method == "OPTIONS", (who, method, path)
        chat = [
            await client.post(f"/api/v1/chat/{id}/send", {"content": "x"}) for id in (there, gone)
        ]
        assert without_id(chat[0]) == without_id(chat[1])
        check_error(chat[0], 404, "not_found")
        assert (await client.get(PATH)).body["conversations"] == []
        assert (await client.get("/api/v1/unread")).body["conversations"] == {}
    assert (await alice.get(f"{PATH}/{there}")).body == members
