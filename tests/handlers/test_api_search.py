"""Search over HTTP, on both databases: who finds what, and what is refused."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from anmei.errors import AnmeiError, ErrorCode
from handlers import search
from handlers.search import SearchQueue
from tests.handlers.api_routes import check_error
from tests.support.http import Answer, Http
from tests.support.process import AnmeiProcess

BAD = (
    {},
    {"q": " "},
    {"q": "?!"},
    {"q": "-not"},
    {"q": "x" * 257},
    {"q": "a b c d e f g h i j k l m n o p q"},
    {"q": "x", "limit": "0"},
    {"q": "x", "limit": "51"},
    {"q": "x", "kind": "spell"},
    {"q": "x", "sender": "a b"},
    {"q": "x", "tag": "a b"},
    {"q": "x", "after": "yesterday"},
    {"q": "x", "cursor": "none"},
    {"q": "x", "who": "me"},
    {"q": "x", "after": "2026-01-01", "before": "9999999"},
)


@pytest.fixture
def server(shared_server: AnmeiProcess) -> AnmeiProcess:
    return shared_server


async def look(http: Http, **parameters: Any) -> Answer:
    """The answer once everything that was sent can be found."""
    while True:
        answer = await http.get("/api/v1/messages/search?" + urlencode(parameters))
        if answer.status != 200 or answer.body["up_to_date"]:
            return answer
        await asyncio.sleep(0.02)


async def say(http: Http, room: str, *contents: str) -> None:
    for content in contents:
        answer = await http.post(f"/api/v1/conversations/{room}/messages", {"content": content})
        assert answer.status == 201, answer


def contents(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [result["message"]["content"] for result in answer.body["results"]]


@pytest.mark.gen_test
async def test_members_find_what_was_said_and_nobody_else_does(as_: Callable[..., Http]) -> None:
    alice, bob, eve = as_("alice"), as_("bob"), as_("eve")
    foreign = as_("alice", tenant="other")
    room = {"kind": "group", "id": "tea", "participant_ids": ["bob"]}
    assert (await alice.post("/api/v1/conversations", room)).status == 201
    await say(alice, "tea", "今天喝茶吗?", "Tea at <b>five</b>")
    await say(bob, "tea", "好,五点喝茶")
    found = await look(bob, q="喝茶")
    assert contents(found) == ["好,五点喝茶", "今天喝茶吗?"]
    assert [part for part in found.body["results"][0]["snippet"] if part["match"]] == [
        {"text": "喝茶", "match": True}
    ]
    assert found.body["results"][0]["message"]["conversation_id"] == "tea"
    assert contents(await look(alice, q="TEA", sender="alice", kind="text")) == [
        "Tea at <b>five</b>"
    ]
    assert contents(await look(eve, q="喝茶")) == contents(await look(foreign, q="喝茶")) == []
    for who, room_id in ((eve, "tea"), (foreign, "tea"), (alice, "nowhere")):
        check_error(await look(who, q="喝茶", conversation_id=room_id), 404, "not_found")
    assert (await bob.delete("/api/v1/conversations/tea/participants/bob")).status == 200
    assert contents(await look(bob, q="喝茶")) == []


@pytest.mark.gen_test
async def test_pages_follow_each_other_and_times_bound_them(as_: Callable[..., Http]) -> None:
    ann = as_("ann")
    await ann.post("/api/v1/conversations", {"kind": "group", "id": "n", "participant_ids": []})
    await say(ann, "n", *[f"number {n}" for n in range(5)])
    first = await look(ann, q="number", limit=3)
    rest = await look(ann, q="number", limit=3, cursor=first.body["next_cursor"])
    assert contents(first) + contents(rest) == [f"number {n}" for n in (4, 3, 2, 1, 0)]
    assert rest.body["next_cursor"] is None
    times = [result["message"]["created_at"] for result in first.body["results"]]
    assert contents(await look(ann, q="number", after=times[0])) == []
    before = await look(ann, q="number", before="2020-01-01", conversation_id="n")
    assert contents(before) == []
    assert len(contents(await look(ann, conversation_id="n", after="2020-01-01T00:00:00Z"))) == 5


@pytest.mark.gen_test
async def test_a_service_looks_with_a_users_eyes_and_users_with_their_own(
    as_: Callable[..., Http],
) -> None:
    una, service = as_("una"), as_("crm", roles=["service"])
    await una.post("/api/v1/conversations", {"kind": "group", "id": "u", "participant_ids": []})
    await say(una, "u", "private plan")
    assert contents(await look(service, q="plan", user_id="una")) == ["private plan"]
    assert contents(await look(service, q="plan")) == []
    check_error(await look(as_("mallory"), q="plan", user_id="una"), 403, "forbidden")


@pytest.mark.gen_test
async def test_what_makes_no_sense_is_refused_with_the_limit(as_: Callable[..., Http]) -> None:
    alice = as_("alice")
    for parameters in BAD:
        check_error(await look(alice, **parameters), 400, "bad_request")
    check_error(await look(as_(None), q="x"), 401, "unauthorized")


@pytest.mark.gen_test
async def test_few_search_at_once_and_nobody_waits_for_all_of_another() -> None:
    queue = SearchQueue()
    await queue.enter("a")
    waiting = [asyncio.ensure_future(queue.enter("a")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(AnmeiError) as caught:
        await queue.enter("a")
    assert caught.value.code is ErrorCode.OVERLOADED
    await asyncio.wait_for(queue.enter("b"), 30)
    assert search.AT_ONCE == 2
    third = asyncio.ensure_future(queue.enter("c"))
    await asyncio.sleep(0)
    assert not third.done()
    queue.leave("b")
    await third
    queue.leave("a")
    await waiting[0]
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    queue.leave("a")
    await waiting[2]
    queue.leave("a")
    queue.leave("c")
    assert (queue._of, queue._own) == ({}, {})
