"""A real browser for the tests of the pages.

Playwright's sync interface runs an event loop of its own in its thread, and no other loop can run
there. So the browser has a thread to itself, and every plain test in this folder runs in that
thread from beginning to end. (A coroutine test runs where all of them do.)
"""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from tests.browser.tab import OpenTab, Tab

SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
SCHEMES = ("light", "dark")

#: Milliseconds that the browser waits for anything a test asks of it.
PATIENCE = 30_000


@pytest.fixture(scope="session")
def browser_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="browser") as thread:
        yield thread


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the test in the thread of the browser, unless it is one for the event loop."""
    thread = pyfuncitem.funcargs.get("browser_thread")
    if thread is None or pyfuncitem.get_closest_marker("gen_test"):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    thread.submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest.fixture(scope="session")
def browser(browser_thread: ThreadPoolExecutor) -> Iterator[Browser]:
    """Debian's Chromium, one for all tests."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail(
            "chromium is missing; please run: "
            "sudo apt-get install -y --no-install-recommends chromium fonts-noto-cjk"
        )

    expect.set_options(timeout=PATIENCE)
    playwright = browser_thread.submit(sync_playwright().start).result()
    try:
        chromium = browser_thread.submit(
            playwright.chromium.launch, executable_path=program, timeout=3 * PATIENCE
        ).result()
        yield chromium
        browser_thread.submit(chromium.close).result()
    finally:
        browser_thread.submit(playwright.stop).result()


class Windows:
    """The browser windows of one test. Each call opens one that shares nothing with the others:
    `windows()` is a page of somebody new.

    `problems` collects what a user would never see and should never happen: an error on the
    console, an exception nobody caught, a request to another machine.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._expected: list[str] = []
        self.problems: list[str] = []

    def __call__(self, size: str = "wide", scheme: str = "light") -> Page:
        width, height = SIZES[size]
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.route(lambda url: not is_local(url), self._refuse)
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on(
            "console",
            lambda line: (
                self.problems.append(f"console: {line.text}") if line.type == "error" else None
            ),
        )
        return page

    def expect_problem(self, text: str) -> None:
        """This test causes a problem in which `text` stands: a lost connection, for example."""
        self._expected.append(text)

    def unexpected(self) -> list[str]:
        return [
            problem
            for problem in self.problems
            if not any(text in problem for text in self._expected)
        ]

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _refuse(self, route: Route) -> None:
        self.problems.append(f"a request to another machine: {route.request.url}")
        route.abort()


def is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or parts.hostname in ("127.0.0.1", "localhost")


@pytest.fixture
def windows(browser: Browser, browser_thread: ThreadPoolExecutor) -> Iterator[Windows]:
    """`windows()` opens a page; errors in any of them fail the test."""
    opened = Windows(browser)
    yield opened
    browser_thread.submit(opened.close).result()
    if problems := opened.unexpected():
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def page(windows: Windows, browser_thread: ThreadPoolExecutor) -> Page:
    """One page, for tests that need no more."""
    return browser_thread.submit(windows).result()


@pytest.fixture
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Page, str], list[Path]]:
    """`pictures(page, "chat")` takes chat-light-wide.png and the other three, into the directory
    that ANMEI_SCREENSHOTS names, else into a temporary one."""
    directory = os.environ.get("ANMEI_SCREENSHOTS")
    target = Path(directory) if directory else tmp_path_factory.mktemp("screenshots")
    target.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> list[Path]:
        before = page.viewport_size
        taken = []
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            for size, (width, height) in SIZES.items():
                page.set_viewport_size({"width": width, "height": height})
                taken.append(target / f"{name}-{scheme}-{size}.png")
                page.screenshot(path=taken[-1], animations="disabled")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(before)
        return taken

    return take


@pytest.fixture
def open_tab(browser: Browser, browser_thread: ThreadPoolExecutor) -> Iterator[OpenTab]:
    """`open_tab(server)` is a new visitor; none may have had a complaint or seen a problem."""
    tabs: list[Tab] = []

    def make(server: Any, width: int = 1280, height: int = 800, **options: Any) -> Tab:
        options = {"locale": "en-US", **options}
        viewport = {"width": width, "height": height}
        tabs.append(Tab(browser.new_context(viewport=viewport, **options), server.url))
        return tabs[-1]

    yield make
    found = [line for tab in tabs for line in tab.complaints]
    for tab in tabs:
        found += browser_thread.submit(lambda tab=tab: tab.problems).result()
    for tab in tabs:
        browser_thread.submit(tab.context.close).result()
    assert found == []
