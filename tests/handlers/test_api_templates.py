"""Templates over HTTP, on both databases: kept by backends, filled in where a message is sent."""

from collections.abc import Callable

import pytest

from tests.handlers.api_routes import check_error
from tests.support.http import Http
from tests.support.process import AnmeiProcess

PATH = "/api/v1/templates"
TEXTS = {"en": "Hello {name}", "zh-CN": "你好,{name}"}
BAD = (
    {},
    {"texts": {}},
    {"texts": {"en": 1}},
    {"texts": {"english": "x"}},
    {"texts": {"en": "{name"}},
    {"texts": {"en": "{a.b}"}},
    {"texts": {"en": "x\0"}},
    {"texts": TEXTS},
    {"texts": TEXTS, "default_language": "fr"},
    {"texts": {"en": "x", "EN": "y"}, "default_language": "en"},
    {"texts": {"en": "x"}, "content": "y"},
)


@pytest.fixture
def server(shared_server: AnmeiProcess) -> AnmeiProcess:
    return shared_server


@pytest.mark.gen_test
async def test_a_template_is_made_read_replaced_and_removed(as_: Callable[..., Http]) -> None:
    shop = as_("shop", roles=["service"], tenant="t1")
    made = await shop.put(f"{PATH}/hello", {"texts": TEXTS, "default_language": "en"})
    assert made.status == 201, made
    assert made.body["placeholders"] == ["name"]
    assert made.body["texts"] == TEXTS
    assert (await shop.get(f"{PATH}/hello")).body == made.body
    again = {"texts": {"en": "Hi {you}"}, "updated_at": made.body["updated_at"]}
    replaced = await shop.put(f"{PATH}/hello", again)
    assert (replaced.status, replaced.body["placeholders"]) == (200, ["you"])
    assert replaced.body["created_at"] == made.body["created_at"]
    assert replaced.body["updated_at"] > made.body["updated_at"]
    check_error(await shop.put(f"{PATH}/hello", again), 409, "conflict")
    assert (await shop.delete(f"{PATH}/hello")).status == 200
    check_error(await shop.delete(f"{PATH}/hello"), 404, "not_found")
    check_error(await shop.get(f"{PATH}/hello"), 404, "not_found")


@pytest.mark.gen_test
async def test_templates_are_listed_by_name_and_stay_in_their_tenant(
    as_: Callable[..., Http],
) -> None:
    shop, other = (as_("shop", roles=["service"], tenant=t) for t in ("t2", "t2x"))
    for name in ("b", "a", "C"):
        assert (await shop.put(f"{PATH}/{name}", {"texts": {"en": name}})).status == 201
    first = await shop.get(f"{PATH}?limit=2")
    rest = await shop.get(f"{PATH}?limit=2&cursor={first.body['next_cursor']}")
    names = [each["name"] for each in first.body["templates"] + rest.body["templates"]]
    assert (names, rest.body["next_cursor"]) == (["C", "a", "b"], None)
    assert (await other.get(PATH)).body == {"templates": [], "next_cursor": None}
    check_error(await other.get(f"{PATH}/a"), 404, "not_found")


@pytest.mark.gen_test
async def test_a_page_of_long_templates_is_a_short_one(as_: Callable[..., Http]) -> None:
    shop = as_("shop", roles=["service"], tenant="t9")
    texts = {"en": "x" * 60_000, "zh": "天" * 20_000}
    for name in ("a", "b", "c"):
        body = {"texts": texts, "default_language": "en"}
        assert (await shop.put(f"{PATH}/{name}", body)).status == 201
    first = (await shop.get(PATH)).body
    rest = (await shop.get(f"{PATH}?cursor={first['next_cursor']}")).body
    assert [[one["name"] for one in page["templates"]] for page in (first, rest)] == [
        ["a", "b"],
        ["c"],
    ]
    assert rest["next_cursor"] is None


@pytest.mark.gen_test
async def test_templates_are_for_backends_and_must_make_sense(as_: Callable[..., Http]) -> None:
    user, shop = as_("user", tenant="t3"), as_("shop", roles=["admin"], tenant="t3")
    check_error(await user.put(f"{PATH}/x", {"texts": {"en": "x"}}), 403, "forbidden")
    check_error(await user.get(PATH), 403, "forbidden")
    for body in BAD:
        check_error(await shop.put(f"{PATH}/x", body), 400, "bad_request")
    check_error(await shop.put(f"{PATH}/a%20b", {"texts": {"en": "x"}}), 404, "not_found")


@pytest.mark.gen_test
async def test_a_backend_sends_by_name_in_the_language_of_whoever_reads(
    as_: Callable[..., Http],
) -> None:
    ann, shop = as_("ann", tenant="t4"), as_("shop", roles=["service"], tenant="t4")
    await ann.post("/api/v1/conversations", {"kind": "group", "id": "r", "participant_ids": []})
    path = "/api/v1/conversations/r/messages"
    await shop.put(f"{PATH}/hello", {"texts": TEXTS, "default_language": "en"})

    async def send(**template: object) -> object:
        answer = await shop.post(path, {"template": {"name": "hello", **template}})
        assert answer.status == 201, answer
        return answer.body["content"]

    assert await send(language="zh", values={"name": "安"}) == "你好,安"
    assert await send(language="fr", values={"name": "{name}"}) == "Hello {name}"
    assert await send(values={"name": 7}) == "Hello 7"
    post = {"recipient_ids": ["ann"], "template": {"name": "hello", "values": {"name": "Ann"}}}
    assert (await shop.post("/api/v1/messages", post)).status == 201
    (notice,) = (await ann.get("/api/v1/inbox")).body["messages"]
    assert notice["content"] == "Hello Ann"
    bad = await shop.post(path, {"template": {"name": "hello", "values": {"nam": "x"}}})
    assert "name" in check_error(bad, 400, "bad_request")["message"]
    hello = {"name": "hello", "values": {"name": "x"}}
    check_error(await ann.post(path, {"template": hello}), 403, "forbidden")
    check_error(await shop.post(path, {"template": {"name": "no"}}), 404, "not_found")
    check_error(await shop.post(path, {"template": hello, "content": "x"}), 400, "bad_request")
    check_error(await shop.post(path, {}), 400, "bad_request")
