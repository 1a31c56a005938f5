"""Personal messages over HTTP and WebSocket, on both databases."""

from collections.abc import Callable

import pytest

from tests.support.http import Http
from tests.support.process import AnmeiProcess

MESSAGES = "/api/v1/messages"
INBOX = "/api/v1/inbox"
POST = {"recipient_ids": ["ada", "bob"], "content": "The server moves at noon", "title": "Notice"}


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess], database_url: str) -> AnmeiProcess:
    return anmei({"DATABASE_URL": database_url})


@pytest.fixture
def backend(as_: Callable[..., Http]) -> Http:
    return as_("backend", roles=["service"])


async def test_a_message_to_several_users_reaches_them_and_nobody_else(
    server, as_, backend, connect
) -> None:
    ada, eve = await connect(server, "ada"), await connect(server, "eve")
    assert ada.established["inbox"] == {"seq": 0, "unread": 0}
    answer = await backend.post(MESSAGES, {**POST, "category": "ops", "priority": "high"})
    assert answer.status == 201, answer
    assert answer.body["recipient_count"] == 2
    told = await ada.expect("notification")
    assert told == {
        **told,
        "id": answer.body["message_id"],
        "conversation_id": None,
        "title": "Notice",
        "category": "ops",
        "content": POST["content"],
        "priority": "high",
        "sender_id": "backend",
        "sender_type": "system",
        "seq": 1,
        "inbox_seq": 1,
        "change_seq": 1,
        "is_read": False,
        "read_at": None,
    }
    await eve.expect_nothing("notification")
    listed = await as_("bob").get(INBOX)
    assert listed.body["messages"] == [told]
    assert (await as_("eve").get(INBOX)).body == {"messages": [], "next_cursor": None}
