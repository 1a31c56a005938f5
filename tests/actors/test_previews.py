"""What is committed with a link gets the preview of its page, once, behind its message."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from actors.archive import Archive
from actors.counters import Counters
from actors.previews import MOST_WAITING, WORKERS, Previews
from actors.supervisor import Supervisor
from anmei.commands import Change, Outcome
from db.store import Store
from db.store import opened as opened_store
from tests.actors.test_fetcher import HTML, opened, site
from tests.db.chat import create, key, send

PAGE = "<title>你好</title><meta property=og:site_name content=A>".encode("gbk")


class Heard:
    """Stands for the router: keeps what it was told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.came = asyncio.Event()

    def apply(self, outcome: Outcome) -> None:
        self.changes += outcome.changes
        self.came.set()

    def gap(self) -> None:
        raise AssertionError("nothing is lost here")

    async def until(self, count: int) -> list[Change]:
        while len(self.changes) < count:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 50)
        return self.changes


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with opened_store(database_url, timeout_ms=30_000) as made:
        yield made


async def test_each_message_with_the_link_gets_it_and_the_page_is_asked_once(store: Store) -> None:
    loop, counters, heard = asyncio.get_running_loop(), Counters(), Heard()
    supervisor = Supervisor(counters)
    archive = Archive(store, batch=100, queue=1_000, counters=counters)
    previews = Previews(heard, archive, opened(), counters, loop.time)
    supervisor.start("archive", lambda: archive.run(previews))
    for number in range(WORKERS):
        supervisor.start(f"previews-{number}", previews.run)
    async with site(HTML + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE) as at:
        url = f"http://127.0.0.1:{at.port}/x"
        await archive.ask(create("room", "ann"), 30)
        for number in range(5):
            await archive.ask(send("room", "ann", f"{number} {url} !"), 30)
        body = '{"title":"x"}'
        await archive.ask(send("room", "ann", url, message_type="card", body=body), 30)
        await archive.ask(send("room", "ann", f"http://127.0.0.1:{at.port}0/ refused"), 30)
        changes = await heard.until(13)
    await supervisor.stop()
    assert len(at.requests) == 1
    updates = [change for change in changes if change.type == "message_updated"]
    assert [update.change_seq for update in updates] == sorted(u.change_seq for u in updates)
    assert {update.data["content"][0] for update in updates} == set("01234")
    for update in updates:
        assert update.data["link_preview"] == {
            **{"url": url, "title": "你好", "description": None},
            **{"image_url": None, "site_name": "A"},
        }
        assert update.data["edited_at"] is None
    assert (counters.previews, counters.crashes) == (1, 0)


async def test_links_for_which_there_is_no_room_go_without() -> None:
    counters, heard = Counters(), Heard()
    store: Any = None
    archive = Archive(store, batch=1, queue=1, counters=counters)
    previews = Previews(heard, archive, opened(), counters, lambda: 0.0)
    data = {"message_type": "text", "recalled_at": None, "link_preview": None, "edited_at": None}
    for number in range(MOST_WAITING + 3):
        message = {**data, "id": f"m{number}", "content": "http://a.example/"}
        audience: Any = None
        previews.apply(Outcome(changes=(Change(key("a"), 1, "new_message", message, audience),)))
    assert len(heard.changes) == MOST_WAITING + 3
    assert counters.previews_dropped == 3
