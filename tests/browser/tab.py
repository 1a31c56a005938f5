"""A tab of a real browser with one person in it, and what an operator does meanwhile."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import BrowserContext, Page, expect

#: How long a tab may take to come back: it waits up to half a minute before its next try.
BACK_MS = 60_000

# What a browser itself writes about a server that is not there; pages cannot keep it from that.
EXPECTED_LINES = re.compile(r"ERR_CONNECTION_REFUSED|WebSocket connection to|ERR_EMPTY_RESPONSE")


class Tab:
    """A tab with one person in it, and what its console and dialogs said."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.complaints: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._on_dialog)
        self.page.goto(url)

    def _on_console(self, line: Any) -> None:
        if line.type in ("error", "warning") and not EXPECTED_LINES.search(line.text):
            self.complaints.append(line.text)

    def _on_dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def sign_in(self, name: str) -> "Tab":
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        self.is_connected()
        expect(self.page.locator("#top")).not_to_have_text(re.compile("Loading|正在加载"))
        return self

    def scroll_up_until(self, count: int) -> None:
        """Scrolls up, again where the page was just moving by itself, until so many are there; and
        no further, which would bring what comes before them."""
        texts = self.page.locator("#messages .text")
        for _ in range(60):
            self.page.locator("#scroller").evaluate(
                """(scroller, count) => {
                    if (document.querySelectorAll('#messages .text').length < count) {
                        scroller.scrollTop = 0;
                    }
                }""",
                count,
            )
            try:
                expect(texts).to_have_count(count, timeout=500)
            except AssertionError:
                continue
            return
        expect(texts).to_have_count(count)

    def is_connected(self, timeout: float = 30_000) -> None:
        expect(self.page.locator("#connection")).to_have_attribute(
            "data-state", "online", timeout=timeout
        )

    def is_reconnecting(self) -> None:
        expect(self.page.locator("#connection")).to_have_attribute(
            "data-state", re.compile("waiting|connecting")
        )

    def say(self, text: str) -> None:
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")

    def sees(self, text: str, timeout: float = 30_000) -> None:
        expect(self.bubble(text)).to_be_visible(timeout=timeout)

    def bubble(self, text: str) -> Any:
        return self.page.locator("#messages .bubble").filter(
            has=self.page.get_by_text(text, exact=True)
        )

    def mark(self, text: str) -> Any:
        """The tick of one's own message."""
        return self.bubble(text).locator(".tick")

    @property
    def texts(self) -> list[str]:
        return self.page.locator("#messages .text").all_text_contents()

    @property
    def problems(self) -> list[str]:
        """What the client found that a correct server never does: gaps, duplicates, miscounts."""
        return self.page.locator("#problems li").all_text_contents()

    def hide(self, hidden: bool = True) -> None:
        """Headless tabs are always visible, so visibility is said instead of caused."""
        self.page.evaluate(
            """hidden => {
                Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
                Object.defineProperty(document, 'visibilityState',
                    {value: hidden ? 'hidden' : 'visible', configurable: true});
                document.dispatchEvent(new Event('visibilitychange'));
            }""",
            hidden,
        )


OpenTab = Callable[..., Tab]


def use_token(tab: Tab, token: str) -> None:
    tab.page.click("#other-way")
    tab.page.fill("#token", token)
    tab.page.click("#token-form button")
    tab.is_connected()


def broadcast(server: Any, kind: str, message: str = "") -> None:
    """What an operator says to everybody."""
    body = {"message": message or f"this is {kind}", "type": kind, "title": "Tonight"}
    post(server, "root", "/api/v1/websocket/broadcast", body)


def post(
    server: Any, user: str, path: str, body: dict[str, Any], *, method: str = "POST"
) -> dict[str, Any]:
    token = server.token(user, roles=["user", "admin"])
    headers = {"Authorization": f"Bearer {token}"}
    request = Request(f"{server.url}{path}", json.dumps(body).encode(), headers, method=method)
    with urlopen(request, timeout=30) as answer:
        assert answer.status in (200, 201)
        return json.load(answer)
