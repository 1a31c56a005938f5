"""The JavaScript clients of the documents, in a real browser."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.http import Http
from tests.support.pages import PROTOCOL, README, blocks
from tests.support.script import Refusals, live_at_once, never_there, scripted

#: The client of the protocol page, and what it told in `heard` and `problems`.
COMPLETE = (
    blocks("javascript", PROTOCOL)[-1].replace("export function", "function")
    + """
    const heard = [], problems = [];
    Object.assign(window, { heard, problems });
    window.say = connect(url, async () => token, (message) => heard.push(message.content),
        (code, reason) => problems.push([code, reason]));
    """
)

Run = Callable[..., Awaitable["Tab"]]


class Tab:
    """A page with a script in it; its thread is the browser's."""

    def __init__(self, thread: ThreadPoolExecutor, page: Any) -> None:
        self._thread = thread
        self.page = page

    async def do(self, work: Callable[[], Any]) -> Any:
        return await asyncio.wrap_future(self._thread.submit(work))

    async def evaluate(self, script: str) -> Any:
        return await self.do(lambda: self.page.evaluate(script))

    async def until(self, condition: str) -> None:
        await self.do(lambda: self.page.wait_for_function(condition, timeout=60_000))


@pytest.fixture
def run(browser: Browser, browser_thread: ThreadPoolExecutor) -> Iterator[Run]:
    """`await run(code, at=…, url=…, token=…)` runs the code of a client in a page of its own."""
    pages: list[Any] = []

    def open_page(code: str, at: str, values: dict[str, str]) -> Any:
        # The page's own policy would keep the test from asking it anything by a piece of script.
        page = browser.new_page(bypass_csp=True)
        pages.append(page)
        page.goto(at)
        names = ", ".join(values)
        page.evaluate(f"({{ {names} }}) => {{ {code} }}", values)
        return page

    async def start(code: str, at: str, **values: str) -> Tab:
        future = browser_thread.submit(open_page, code, at, values)
        return Tab(browser_thread, await asyncio.wrap_future(future))

    yield start
    for page in pages:
        browser_thread.submit(page.close).result()


@pytest.mark.gen_test(timeout=110)
async def test_it_sends_again_what_was_refused_for_now(run):
    async with scripted(Refusals()) as server:
        tab = await run(COMPLETE, at=server.page, url=server.url, token="t")
        await tab.evaluate("say('team', 'Hello')")
        sends = await server.until("send_message", 3)
        await tab.until("heard.length === 1")
        assert await tab.evaluate("problems") == []
        await tab.do(tab.page.close)
    assert len({frame["data"]["client_msg_id"] for frame in sends}) == 1
    assert len(server.of("sync")) >= 2
    assert server.connections == 1


@pytest.mark.gen_test(timeout=110)
async def test_it_tells_what_is_refused_for_good_and_does_not_send_it_again(run):
    async with scripted(never_there) as server:
        tab = await run(COMPLETE, at=server.page, url=server.url, token="t")
        await tab.evaluate("say('elsewhere', 'Hello')")
        await tab.until("problems.length === 1")
        assert await tab.evaluate("problems") == [["not_found", "it is not_found"]]
        await tab.do(tab.page.close)
    # Twice at most: what is said while the door opens is said again when it is open.
    assert 1 <= len(server.of("send_message")) <= 2


@pytest.mark.gen_test(timeout=110)
async def test_it_tells_why_it_was_sent_away_and_stays_away(run):
    async with scripted(never_there, welcome=False) as server:
        tab = await run(COMPLETE, at=server.page, url=server.url, token="t")
        await tab.until("problems.length === 1")
        assert await tab.evaluate("problems") == [[4001, "the token has expired"]]
        await tab.do(tab.page.close)
    assert server.connections == 1


@pytest.mark.gen_test(timeout=110)
async def test_its_place_goes_back_with_a_restored_backup_alone(run):
    async with scripted(live_at_once, tops=(1, 3, 2)) as server:
        tab = await run(COMPLETE, at=server.page, url=server.url, token="t")
        syncs = await server.until("sync", 3)
        await tab.do(tab.page.close)
    assert [frame["data"]["positions"]["team"] for frame in syncs] == [1, 3, 2]


async def team(anmei: Any, connect: Any) -> tuple[Any, str, Any]:
    server = await asyncio.to_thread(anmei)
    token = server.token("alice", name="Alice")
    body = {"kind": "group", "id": "team", "participant_ids": ["bob"]}
    made = await Http(server.url, token).request("POST", "/api/v1/conversations", body)
    assert made.status == 201, made
    return server, token, await connect(server, "bob", name="Bob")


@pytest.mark.gen_test(timeout=110)
async def test_on_a_real_server_it_talks_and_comes_back_with_all_that_was_said(anmei, connect, run):
    server, token, bob = await team(anmei, connect)
    tab = await run(COMPLETE, at=server.url, url=server.ws_url, token=token)
    await tab.evaluate("say('team', 'before')")
    await bob.expect("new_message", content="before")
    await asyncio.to_thread(server.restart)
    await tab.evaluate("say('team', 'meanwhile')")
    bob = await connect(server, "bob", name="Bob")
    await bob.send_message("team", "I am back")
    await tab.until("heard.includes('I am back') && heard.includes('meanwhile')")
    heard = await tab.evaluate("heard")
    assert sorted(heard) == ["I am back", "before", "meanwhile"]
    assert await tab.evaluate("problems") == []


@pytest.mark.gen_test(timeout=110)
async def test_the_client_of_the_readme_talks_on_a_real_server(anmei, connect, run):
    server, token, bob = await team(anmei, connect)
    code = blocks("javascript", README)[-1]
    assert "ws://127.0.0.1:8000/ws/chat" in code
    code = code.replace("ws://127.0.0.1:8000/ws/chat", server.ws_url)
    listen = "window.lines = []; console.log = (...words) => lines.push(words);"
    tab = await run(f"window.prompt = () => given; {listen} {code}", at=server.url, given=token)
    await bob.expect("new_message", content="Hello")
    await bob.send_message("team", "and you?")
    await tab.until("lines.length === 2")
    assert await tab.evaluate("lines") == [["Alice", "Hello"], ["Bob", "and you?"]]
    await bob.expect("message_status_update", user_id="alice", last_read_seq=3)
