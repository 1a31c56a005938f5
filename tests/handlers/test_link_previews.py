"""A server that shows link previews cannot be sent to what is near it."""

import asyncio
import re
from collections.abc import Callable

import pytest

from tests.actors.test_fetcher import HTML, site
from tests.support.http import Http
from tests.support.process import AnmeiProcess


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei({"ANMEI_LINK_PREVIEWS": "true"})


async def test_a_link_to_an_inner_address_is_a_message_like_any_other(
    server: AnmeiProcess, as_: Callable[..., Http]
) -> None:
    alice = as_("alice")
    body = {"id": "room", "kind": "group"}
    assert (await alice.post("/api/v1/conversations", body)).status == 201
    async with site(HTML + b"\r\n<title>secret</title>") as at:
        links = [f"http://127.0.0.1:{at.port}/", "http://127.0.0.1/", "http://169.254.169.254/"]
        for link in links:
            sent = await alice.post("/api/v1/conversations/room/messages", {"content": link})
            assert (sent.status, sent.body["link_preview"]) == (201, None)
        async with asyncio.timeout(50):
            while True:
                metrics = (await as_(None).get("/metrics")).body.decode()
                if re.search(r"^anmei_previews_failed_total 3\.0$", metrics, re.MULTILINE):
                    break
                await asyncio.sleep(0.02)
        assert at.requests == []
    found = (await alice.get("/api/v1/conversations/room/messages")).body["messages"]
    assert [(one["content"], one["link_preview"]) for one in found] == [
        (link, None) for link in links
    ]
