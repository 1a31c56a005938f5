"""A conversation over HTTP as a file: whole, and only for those who may have it."""

import io
from collections.abc import Callable

import pytest

from anmei.errors import AnmeiError
from anmei.principal import Principal
from anmei.transfer import Sent, read
from handlers.exports import MOST, Running
from tests.handlers.api_routes import check_error
from tests.support.http import Http
from tests.support.process import AnmeiProcess

ROOM = "/api/v1/conversations/room"


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei()


async def test_the_owner_and_services_get_the_whole_file(
    server: AnmeiProcess, as_: Callable[..., Http]
) -> None:
    alice, desk = as_("alice"), as_("desk", roles=["service"])
    body = {"id": "room", "kind": "group", "participant_ids": ["bob"]}
    assert (await alice.post("/api/v1/conversations", body)).status == 201
    texts = ["x" * 60_000, "second", "你好"]
    for text in texts:
        assert (await alice.post(f"{ROOM}/messages", {"content": text})).status == 201

    answer = await alice.get(f"{ROOM}/export")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = [line for _, line in read(io.BytesIO(answer.body))]
    assert [line.content for line in lines if isinstance(line, Sent)] == texts
    assert (await desk.get(f"{ROOM}/export")).body == answer.body

    check_error(await as_("bob").get(f"{ROOM}/export"), 403, "forbidden")
    check_error(await as_("eve").get(f"{ROOM}/export"), 404, "not_found")
    check_error(await alice.get("/api/v1/conversations/absent/export"), 404, "not_found")


def test_one_user_cannot_keep_all_others_from_their_exports() -> None:
    def principal(user: str, *roles: str) -> Principal:
        return Principal("default", user, frozenset(roles), user, 0)

    running, alice, desk = Running(), principal("alice", "user"), principal("desk", "service")
    running.enter(alice)
    with pytest.raises(AnmeiError, match="at most 1 export of a user"):
        running.enter(alice)
    for _ in range(MOST - 1):
        running.enter(desk)
    with pytest.raises(AnmeiError, match=f"at most {MOST} exports"):
        running.enter(principal("bob", "user"))
    running.leave(desk)
    running.enter(principal("bob", "user"))
    running.leave(alice)
    running.enter(alice)
