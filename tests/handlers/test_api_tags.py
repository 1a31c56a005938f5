"""Tags and categories over HTTP, on both databases: each user's own, on what they may see."""

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.handlers.api_routes import check_error
from tests.handlers.test_api_search import contents, look
from tests.support.http import Http
from tests.support.process import AnmeiProcess


@pytest.fixture
def server(shared_server: AnmeiProcess) -> AnmeiProcess:
    return shared_server


async def room(http: Http, id: str, *others: str) -> str:
    made = {"kind": "group", "id": id, "title": id.title(), "participant_ids": list(others)}
    assert (await http.post("/api/v1/conversations", made)).status == 201
    sent = await http.post(f"/api/v1/conversations/{id}/messages", {"content": f"in {id}"})
    return str(sent.body["id"])


@pytest.mark.gen_test
async def test_a_tag_is_seen_by_whoever_gave_it_alone(as_: Callable[..., Http]) -> None:
    ann, bob = as_("ann", tenant="g1"), as_("bob", tenant="g1")
    message = await room(ann, "one", "bob")
    path, word = f"/api/v1/messages/{message}/tags", quote("重要")
    assert (await ann.put(f"{path}/{word}")).body == {"message_id": message, "tags": ["重要"]}
    assert (await ann.put(f"{path}/todo")).body["tags"] == ["todo", "重要"]
    assert (await ann.put(f"{path}/todo")).body["tags"] == ["todo", "重要"]
    assert (await bob.get(path)).body["tags"] == []
    assert (await bob.get("/api/v1/tags")).body == {"tags": [], "next_cursor": None}
    found = await ann.get(f"/api/v1/tags/{word}/messages")
    assert [each["id"] for each in found.body["messages"]] == [message]
    assert (await ann.put(f"/api/v1/conversations/one/tags/{word}")).status == 200
    assert (await ann.get("/api/v1/tags")).body["tags"] == [
        {"tag": "todo", "messages": 1, "conversations": 0},
        {"tag": "重要", "messages": 1, "conversations": 1},
    ]
    assert contents(await look(ann, tag="重要")) == ["in one"]
    assert contents(await look(ann, tag="重要", q="one")) == ["in one"]
    assert contents(await look(bob, tag="重要")) == []
    assert (await ann.delete(f"{path}/{word}")).body["tags"] == ["todo"]
    assert (await ann.delete(f"{path}/{word}")).body["tags"] == ["todo"]
    assert contents(await look(ann, tag="重要")) == []


@pytest.mark.gen_test
async def test_outsiders_tag_nothing_and_the_removed_find_nothing(as_: Callable[..., Http]) -> None:
    ann, bob, eve = (as_(user, tenant="g2") for user in ("ann", "bob", "eve"))
    message = await room(ann, "one", "bob")
    things = (f"messages/{message}", "conversations/one")
    for thing in (*things, "messages/absent", "messages/a b", "conversations/absent"):
        check_error(await eve.put(f"/api/v1/{quote(thing)}/tags/x"), 404, "not_found")
        check_error(await eve.get(f"/api/v1/{quote(thing)}/tags"), 404, "not_found")
    for thing in things:
        assert (await bob.put(f"/api/v1/{thing}/tags/x")).status == 200
    assert (await bob.put("/api/v1/conversations/one/category", {"category": "work"})).status == 200
    await bob.delete("/api/v1/conversations/one/participants/bob")
    assert (await bob.get("/api/v1/tags")).body["tags"] == []
    assert (await bob.get("/api/v1/categories")).body == {"categories": []}
    assert (await bob.get("/api/v1/tags/x/messages")).body["messages"] == []
    assert (await bob.get("/api/v1/tags/x/conversations")).body["conversations"] == []
    check_error(await bob.delete("/api/v1/conversations/one/category"), 404, "not_found")


@pytest.mark.gen_test
async def test_tags_and_what_they_are_on_are_listed_by_pages(as_: Callable[..., Http]) -> None:
    ann, crm = as_("ann", tenant="g3"), as_("crm", tenant="g3", roles=["service"])
    for n in range(3):
        message = await room(ann, f"room{n}")
        for thing in (f"messages/{message}", f"conversations/room{n}"):
            assert (await ann.put(f"/api/v1/{thing}/tags/t")).status == 200
            assert (await crm.put(f"/api/v1/{thing}/tags/u{n}?user_id=ann")).status == 200
    for path, field, id in (
        ("tags/t/messages", "messages", "conversation_id"),
        ("tags/t/conversations", "conversations", "conversation_id"),
    ):
        first = await ann.get(f"/api/v1/{path}?limit=2")
        rest = await ann.get(f"/api/v1/{path}?limit=2&cursor={first.body['next_cursor']}")
        found = [each[id] for each in first.body[field] + rest.body[field]]
        assert (found, rest.body["next_cursor"]) == (["room2", "room1", "room0"], None)
    first = await ann.get("/api/v1/tags?limit=3")
    rest = await ann.get(f"/api/v1/tags?limit=3&cursor={first.body['next_cursor']}")
    assert [each["tag"] for each in first.body["tags"] + rest.body["tags"]] == [
        *("t", "u0", "u1", "u2")
    ]
    assert (await crm.get("/api/v1/tags")).body["tags"] == []


@pytest.mark.gen_test
async def test_a_conversation_is_in_one_category_at_most(as_: Callable[..., Http]) -> None:
    ann = as_("ann", tenant="g4")
    for name in ("one", "two"):
        await room(ann, name)
        path = f"/api/v1/conversations/{name}/category"
        for category in ("工作", "home"):
            answer = await ann.put(path, {"category": category})
            assert answer.body == {"conversation_id": name, "category": category}
    await ann.put("/api/v1/conversations/one/category", {"category": "工作"})
    assert (await ann.get("/api/v1/categories")).body["categories"] == [
        {"category": "home", "conversations": 1},
        {"category": "工作", "conversations": 1},
    ]
    found = await ann.get(f"/api/v1/categories/{quote('工作')}/conversations")
    (one,) = found.body["conversations"]
    assert (one["conversation_id"], one["title"], one["kind"]) == ("one", "One", "group")
    assert (await ann.get("/api/v1/conversations/one/tags")).body == {
        "conversation_id": "one",
        "tags": [],
        "category": "工作",
    }
    assert (await ann.delete("/api/v1/conversations/one/category")).body["category"] is None
    assert (await ann.get("/api/v1/conversations/one/tags")).body["category"] is None


@pytest.mark.gen_test
async def test_odd_words_and_too_many_tags_are_refused(as_: Callable[..., Http]) -> None:
    ann, eve = as_("ann", tenant="g5"), as_("eve", tenant="g5")
    message = await room(ann, "one")
    path = f"/api/v1/messages/{message}/tags"
    for word in ("a b", "-x", "x" * 33, "👍", "\x00"):
        check_error(await ann.put(f"{path}/{quote(word)}"), 400, "bad_request")
        category = {"category": word}
        answer = await ann.put("/api/v1/conversations/one/category", category)
        check_error(answer, 400, "bad_request")
    for n in range(20):
        assert (await ann.put(f"{path}/t{n}")).status == 200
    assert "20 tags" in check_error(await ann.put(f"{path}/t20"), 413, "too_large")["message"]
    check_error(await eve.put(f"{path}/x?user_id=ann"), 403, "forbidden")
