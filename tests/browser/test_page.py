"""The page at `/`, as people meet it: real tabs of a real browser on a real server."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, WebSocketRoute, expect

from tests.support.process import ROOT

# A reconnect waits for the backoff, which is seconds when a server was away for seconds.
BACK_MS = 30_000

# What a browser itself writes about a server that is not there; pages cannot keep it from that.
EXPECTED_LINES = re.compile(r"ERR_CONNECTION_REFUSED|WebSocket connection to|ERR_EMPTY_RESPONSE")


class Tab:
    """A tab with one person in it, and what its console and dialogs said."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
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
        """Scrolls up, again where the page was just moving by itself, until so many are there."""
        texts = self.page.locator("#messages .text")
        for _ in range(20):
            self.page.locator("#scroller").evaluate("scroller => { scroller.scrollTop = 0; }")
            try:
                expect(texts).to_have_count(count, timeout=500)
            except AssertionError:
                continue
            return
        expect(texts).to_have_count(count)

    def is_connected(self, timeout: float = 10_000) -> None:
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

    def sees(self, text: str, timeout: float = 10_000) -> None:
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


def test_two_tabs_talk_within_a_minute_of_opening_the_page(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada = open_tab(server)
    expect(ada.page.locator("#name")).to_be_focused()
    ada.sign_in("Ada")
    with ada.context.expect_page() as opened:
        ada.page.click("#second-tab")
    second = opened.value
    expect(second.locator("#name")).to_be_focused()
    second.keyboard.type("Bob")
    second.keyboard.press("Enter")
    expect(second.locator("#connection")).to_have_attribute("data-state", "online")

    ada.say("Is anybody here?")
    expect(second.locator("#messages")).to_contain_text("Is anybody here?")
    second.fill("#text", "I am")
    second.press("#text", "Enter")

    ada.sees("I am")
    expect(ada.page.locator("#messages .message:not(.mine) .who")).to_have_text("Bob")


def test_a_tab_that_is_loaded_again_is_the_same_person_with_the_history(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    ada = open_tab(anmei()).sign_in("Ada")
    for number in range(3):
        ada.say(f"message {number}")
    expect(ada.mark("message 2")).to_have_attribute("data-state", "sent")

    ada.page.reload()

    ada.is_connected()
    ada.sees("message 2")
    assert ada.texts == ["message 0", "message 1", "message 2"]
    expect(ada.page.locator("#self-name")).to_have_text("Ada")
    expect(ada.page.locator("#messages .message.mine")).to_have_count(3)


def test_typing_shows_and_goes_away_again(anmei: Callable[..., Any], open_tab: OpenTab) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")

    ada.page.locator("#text").press_sequentially("He")
    expect(bob.page.locator("#typing")).to_have_text("Ada is typing")
    expect(ada.page.locator("#typing")).to_have_text("")

    # Nobody types any more: after four seconds that is told.
    expect(bob.page.locator("#typing")).to_have_text("", timeout=10_000)


def test_typing_ends_with_the_message(anmei: Callable[..., Any], open_tab: OpenTab) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    ada.page.locator("#text").press_sequentially("Hello")
    expect(bob.page.locator("#typing")).to_have_text("Ada is typing")

    ada.page.press("#text", "Enter")

    bob.sees("Hello")
    expect(bob.page.locator("#typing")).to_have_text("", timeout=1_000)


def test_a_message_is_sent_then_delivered_then_read_and_says_so(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada = open_tab(server).sign_in("Ada")
    ada.say("Hello")
    expect(ada.mark("Hello")).to_have_attribute("data-state", "sent")
    expect(ada.mark("Hello")).to_have_attribute("aria-label", "Sent")
    bob = open_tab(server).sign_in("Bob")
    bob.hide()

    ada.say("Still there?")

    expect(ada.mark("Still there?")).to_have_attribute("data-state", "delivered")
    bob.hide(False)
    expect(ada.mark("Still there?")).to_have_attribute("data-state", "read")
    expect(ada.mark("Still there?")).to_have_attribute("aria-label", re.compile("^Read by 1 of"))


def test_a_hidden_tab_counts_in_its_title_and_divides_what_is_new(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    ada.say("before")
    expect(ada.mark("before")).to_have_attribute("data-state", "read")
    bob.hide()

    ada.say("one")
    ada.say("two")

    expect(bob.page).to_have_title(re.compile(r"^\(2\) "))
    bob.hide(False)
    expect(bob.page).to_have_title(re.compile(r"^[^(]"))
    rows = bob.page.locator("#messages > li:not(.day)").all_text_contents()
    divider = next(place for place, row in enumerate(rows) if row == "New messages")
    assert "before" in rows[divider - 1]
    assert "one" in rows[divider + 1]


def test_who_is_here_is_shown_with_names_and_status(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    row = ada.page.locator(".people li").filter(has_text="Bob")
    expect(row).to_have_attribute("data-status", "online")
    expect(bob.page.locator(".people li").filter(has_text="Ada")).to_have_attribute(
        "data-status", "online"
    )

    bob.page.select_option("#status", "dnd")
    expect(row.locator(".status")).to_have_text("Do not disturb")

    bob.page.click("#sign-out")
    expect(bob.page.locator("#name")).to_be_visible()
    # Who is not here is folded away, and there for whoever looks.
    expect(row).to_have_attribute("data-status", "offline", timeout=20_000)
    expect(row).to_be_hidden()
    fold = ada.page.locator("#offline summary")
    expect(fold).to_have_text("1 offline")
    fold.click()
    expect(row).to_be_visible()


def test_somebody_who_was_only_an_id_gets_a_name_when_it_becomes_known(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    post(server, "alice", "/api/v1/conversations", {"kind": "group", "participant_ids": ["bob"]})
    alice, bob = open_tab(server), open_tab(server)
    use_token(alice, server.token("alice", name="Alice"))
    names = alice.page.locator(".people .name")
    expect(names).to_have_text(["Alice (you)", "bob"])

    use_token(bob, server.token("bob", name="Robert"))

    expect(names).to_have_text(["Alice (you)", "Robert"])


def use_token(tab: Tab, token: str) -> None:
    tab.page.click("#other-way")
    tab.page.fill("#token", token)
    tab.page.click("#token-form button")
    tab.is_connected()


def test_after_kill_9_both_tabs_come_back_with_every_message_once_and_in_order(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    for number in range(10):
        speaker, listener = (ada, bob) if number % 2 else (bob, ada)
        speaker.say(f"message {number}")
        listener.sees(f"message {number}")
    # In the middle of a burst, so that some of it is acknowledged and some is not.
    for number in range(20):
        ada.say(f"burst {number}")
    expect(ada.mark("burst 0")).not_to_have_attribute("data-state", "sending")

    server.kill9()
    ada.is_reconnecting()
    bob.is_reconnecting()
    ada.say("typed while the server was down")
    bob.say("so was this")
    expect(ada.mark("typed while the server was down")).to_have_attribute("data-state", "queued")
    server.restart()

    ada.is_connected(BACK_MS)
    bob.is_connected(BACK_MS)
    for tab in (ada, bob):
        tab.sees("typed while the server was down")
        tab.sees("so was this")
        tab.sees("burst 19")
        expect(tab.page.locator(".message.pending, .message.failed")).to_have_count(0)
    expect(ada.page.locator("#messages .text")).to_have_count(32)
    expect(bob.page.locator("#messages .text")).to_have_count(32)
    assert ada.texts == bob.texts
    assert [text for text in ada.texts if text.startswith("message")] == [
        f"message {number}" for number in range(10)
    ]
    assert [text for text in ada.texts if text.startswith("burst")] == [
        f"burst {number}" for number in range(20)
    ]
    assert len(set(ada.texts)) == 32


def test_what_was_not_acknowledged_is_sent_again_after_a_reload_of_the_tab(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    lost: list[str] = []

    def lose_what_is_sent(link: WebSocketRoute) -> None:
        onward = link.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            if '"send_message"' in str(frame) and not lost:
                lost.append(str(frame))
            else:
                onward.send(frame)

        link.on_message(pass_on)

    ada.page.route_web_socket(re.compile("/ws/chat"), lose_what_is_sent)
    ada.page.reload()
    ada.is_connected()
    ada.say("I am not forgotten")
    expect(ada.mark("I am not forgotten")).to_have_attribute("data-state", "sending")

    ada.page.reload()

    bob.sees("I am not forgotten")
    expect(ada.mark("I am not forgotten")).to_have_attribute("data-state", "read")
    assert ada.texts == ["I am not forgotten"]
    assert len(lost) == 1


def test_while_the_server_is_away_the_page_says_when_it_tries_again_and_tries_when_asked(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada = open_tab(server).sign_in("Ada")

    server.kill9()

    expect(ada.page.locator("#connection-text")).to_have_text(re.compile(r"Reconnecting in \d+ s"))
    expect(ada.page.locator("#banner")).to_be_visible(timeout=20_000)
    server.restart()
    # By script: the button goes away in the moment in which the page tries by itself.
    ada.page.locator("#try-now").evaluate("button => button.click()")
    ada.is_connected(5_000)
    expect(ada.page.locator("#banner")).to_be_hidden()


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(2)>",
        '"><svg onload=alert(3)>',
        "<a href='javascript:alert(4)'>x</a>",
        "{{constructor.constructor('alert(5)')()}}",
    ],
)
def test_markup_in_a_message_and_in_a_name_stays_text(
    anmei: Callable[..., Any], open_tab: OpenTab, text: str
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in(text), open_tab(server).sign_in("Bob")

    ada.say(text)

    bob.sees(text)
    expect(bob.page.locator("#messages .who")).to_have_text(text)
    expect(bob.page.locator(".people li").filter(has_text=text)).to_have_count(1)
    assert bob.page.locator("#messages :is(script, img, svg, a)").count() == 0


def test_enter_that_ends_a_chinese_composition_does_not_send(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("阿达"), open_tab(server).sign_in("Bob")
    keyboard = ada.context.new_cdp_session(ada.page)
    ada.page.focus("#text")
    keyboard.send(
        "Input.imeSetComposition", {"text": "nihao", "selectionStart": 5, "selectionEnd": 5}
    )
    keyboard.send(
        "Input.dispatchKeyEvent",
        {"type": "rawKeyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229},
    )
    assert ada.page.locator("#messages .text").count() == 0

    keyboard.send("Input.insertText", {"text": "你好，世界 😀"})
    assert ada.page.input_value("#text") == "你好，世界 😀"
    ada.page.press("#text", "Enter")

    bob.sees("你好，世界 😀")
    expect(bob.page.locator("#messages .who")).to_have_text("阿达")
    assert bob.texts == ["你好，世界 😀"]


def test_shift_enter_begins_a_new_line(anmei: Callable[..., Any], open_tab: OpenTab) -> None:
    ada = open_tab(anmei()).sign_in("Ada")
    ada.page.locator("#text").press_sequentially("one")
    ada.page.press("#text", "Shift+Enter")
    ada.page.locator("#text").press_sequentially("two")
    ada.page.press("#text", "Enter")
    expect(ada.page.locator("#messages .text")).to_have_text("one\ntwo")
    assert ada.texts == ["one\ntwo"]


def test_the_page_speaks_the_language_of_the_browser_and_the_other_one_on_request(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    ada = open_tab(anmei(), locale="zh-CN")
    expect(ada.page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(ada.page.locator("#enter")).to_have_text("开始聊天")
    ada.sign_in("阿达")
    expect(ada.page.locator("#connection-text")).to_have_text("已连接")

    ada.page.click(".bar .language")

    expect(ada.page.locator("#connection-text")).to_have_text("Connected")
    ada.page.reload()
    expect(ada.page.locator("#connection-text")).to_have_text("Connected")


def test_a_message_that_is_too_long_stays_in_the_box_and_says_why(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    ada = open_tab(anmei()).sign_in("Ada")

    ada.say("好" * 30_000)

    refusal = ada.page.locator("#refusal")
    expect(refusal).to_have_text(re.compile("takes 90,000 bytes, and at most 65,536 are allowed"))
    assert len(ada.page.input_value("#text")) == 30_000
    expect(ada.page.locator("#messages .text")).to_have_count(0)
    ada.page.fill("#text", "short")
    expect(refusal).to_have_text("")
    ada.page.press("#text", "Enter")
    expect(ada.mark("short")).to_have_attribute("data-state", "sent")


def test_what_the_server_will_never_take_can_be_edited_and_is_not_tried_again(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    ada = open_tab(anmei()).sign_in("Ada")
    # A U+0000, which the page lets through and no database keeps.
    ada.page.evaluate("document.getElementById('text').value = 'a\\0b'")
    ada.page.press("#text", "Enter")

    problem = ada.page.locator(".message.failed .problem")
    expect(problem).to_contain_text("Not sent: content holds U+0000")
    expect(problem.get_by_role("button")).to_have_text(["Edit"])
    problem.get_by_role("button", name="Edit").click()
    expect(ada.page.locator(".message.failed")).to_have_count(0)
    ada.say("short")
    expect(ada.mark("short")).to_have_attribute("data-state", "sent")


def test_older_messages_come_when_one_scrolls_up_and_the_view_does_not_jump(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada = open_tab(server).sign_in("Ada")
    for number in range(120):
        ada.say(f"message {number}")
    expect(ada.mark("message 119")).to_have_attribute("data-state", "sent")
    bob = open_tab(server).sign_in("Bob")
    bob.sees("message 119")
    assert bob.texts == [f"message {number}" for number in range(70, 120)]

    bob.scroll_up_until(100)
    top = bob.page.locator("#scroller").evaluate("scroller => scroller.scrollTop")
    assert top > 500
    bob.scroll_up_until(120)

    assert bob.texts == [f"message {number}" for number in range(120)]
    expect(bob.page.locator("#top")).to_have_text("This is where the conversation begins.")


def test_the_protocol_panel_shows_the_latest_frames_and_no_token(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    ada = open_tab(anmei()).sign_in("Ada")
    for number in range(30):
        ada.say(f"message {number}")
    expect(ada.mark("message 29")).to_have_attribute("data-state", "sent")

    ada.page.click("#inspector summary")

    expect(ada.page.locator("#frames li")).to_have_count(50)
    types = set(ada.page.locator("#frames strong").all_text_contents())
    assert {"send_message", "ack", "new_message"} <= types
    # Scrolled to its end, the panel shows the last line whole, above where it fades out.
    below = ada.page.locator(".inspector").evaluate(
        """panel => {
            panel.scrollTop = panel.scrollHeight;
            const last = panel.querySelector('#frames li:last-child').getBoundingClientRect();
            return panel.getBoundingClientRect().bottom - last.bottom;
        }"""
    )
    assert below > 27  # 28 pixels, but for what a browser rounds when it scrolls
    token = ada.page.evaluate("JSON.parse(sessionStorage['anmei.session']).token")
    assert token not in ada.page.content()


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_scrolls_sideways_on_a_screen_of_any_width(
    anmei: Callable[..., Any], open_tab: OpenTab, width: int
) -> None:
    server = anmei()
    ada = open_tab(server, width=width, height=740)
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert ada.page.evaluate(fits)
    ada.sign_in("A name that is too long for a narrow screen " + "W" * 18)
    ada.say("x" * 400)
    ada.say("https://example.com/" + "path/" * 60)
    expect(ada.mark("x" * 400)).to_have_attribute("data-state", "sent")

    assert ada.page.evaluate(fits)
    inside = "box => box.scrollWidth <= box.clientWidth"
    assert ada.page.locator("#scroller").evaluate(inside)
    if width < 720:
        expect(ada.page.locator("#side")).to_be_hidden()
        ada.page.click("#menu")
        expect(ada.page.locator("#people li").first).to_be_visible()
    assert ada.page.locator("#side").evaluate(inside)


def test_every_field_button_link_and_picture_has_a_name(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    tab = open_tab(anmei())
    assert tab.page.evaluate(UNNAMED) == []
    tab.sign_in("Ada")
    tab.say("Hello")
    expect(tab.mark("Hello")).to_have_attribute("data-state", "sent")

    assert tab.page.evaluate(UNNAMED) == []
    assert tab.page.locator("#announcer").get_attribute("aria-live") == "polite"
    ids = tab.page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground_by_4_5_to_1(
    anmei: Callable[..., Any], open_tab: OpenTab, scheme: str
) -> None:
    server = anmei()
    ada = open_tab(server, color_scheme=scheme)
    assert ada.page.evaluate(FAINT) == []
    ada.sign_in("Ada")
    bob = open_tab(server).sign_in("Bob")
    bob.say("Hello")
    ada.say("Hello yourself")
    ada.say("x" * 70_000)
    expect(ada.page.locator("#refusal")).to_contain_text("65,536")
    ada.page.evaluate("document.getElementById('text').value = 'a\\0b'")
    ada.page.press("#text", "Enter")
    expect(ada.page.locator(".message.failed")).to_be_visible()
    for kind in ("error", "info", "success"):
        broadcast(server, kind)
    expect(ada.page.locator(".notice")).to_have_count(3)
    expect(ada.mark("Hello yourself")).to_have_attribute("data-state", "read")
    ada.page.click("#inspector summary")

    assert ada.page.evaluate(FAINT) == []
    for kind in ("warning", "urgent"):
        broadcast(server, kind)
    expect(ada.page.locator(".notice").last).to_contain_text("urgent")
    assert ada.page.evaluate(FAINT) == []
    server.kill9()
    expect(ada.page.locator("#banner")).to_be_visible(timeout=20_000)
    ada.say("waits")
    assert ada.page.evaluate(FAINT) == []


def test_where_signing_in_by_name_is_off_the_page_says_how_to_get_a_token_and_takes_it(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei({"ANMEI_DEMO": "off"})
    tab = open_tab(server)
    tab.page.keyboard.type("Ada")
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("#token-form")).to_be_visible()
    expect(tab.page.locator("#token-form")).to_contain_text("python run.py token --user alice")
    tab.complaints.clear()  # the browser itself notes the 404

    tab.page.fill("#token", "not a token")
    tab.page.click("#token-form button")
    expect(tab.page.locator("#welcome-error")).to_contain_text("That is not a token")
    tab.page.fill("#token", server.token("alice", name="Alice"))
    tab.page.click("#token-form button")

    tab.is_connected()
    expect(tab.page.locator("#self-name")).to_have_text("Alice")
    expect(tab.page.locator("#conversations")).to_contain_text("no conversation yet")
    expect(tab.page.locator("#lonely h2")).to_contain_text("no conversation yet")
    expect(tab.page.locator("#composer")).to_be_hidden()


def test_who_has_no_conversation_is_told_how_to_make_one_and_can_copy_it(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei({"ANMEI_DEMO": "off"})
    tab = open_tab(server, permissions=["clipboard-read", "clipboard-write"])
    use_token(tab, server.token("alice", name="Alice"))
    expect(tab.page.locator("#lonely")).to_be_visible()

    tab.page.click("#copy")

    expect(tab.page.locator("#copied")).to_have_text("Copied.")
    copied = tab.page.evaluate("navigator.clipboard.readText()")
    script = copied.replace(".venv/bin/python", sys.executable)
    done = subprocess.run(
        ["sh", "-euc", script], cwd=ROOT, env=server.env, capture_output=True, text=True
    )
    assert '"title":"Team"' in done.stdout.replace(": ", ":"), done
    expect(tab.page.locator("#room-title")).to_have_text("Team")
    expect(tab.page.locator("#lonely")).to_be_hidden()
    tab.say("Hello")
    expect(tab.mark("Hello")).to_have_attribute("data-state", "sent")


def broadcast(server: Any, kind: str, message: str = "") -> None:
    """What an operator says to everybody."""
    body = {"message": message or f"this is {kind}", "type": kind, "title": "Tonight"}
    post(server, "root", "/api/v1/websocket/broadcast", body)


def post(server: Any, user: str, path: str, body: dict[str, Any]) -> None:
    token = server.token(user, roles=["user", "admin"])
    headers = {"Authorization": f"Bearer {token}"}
    request = Request(f"{server.url}{path}", json.dumps(body).encode(), headers)
    with urlopen(request, timeout=10) as answer:
        assert answer.status in (200, 201)


def test_what_an_operator_says_stands_above_the_room_until_it_is_dismissed(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada = open_tab(server).sign_in("Ada")
    assert ada.page.locator("#notices").get_attribute("aria-live") == "polite"

    broadcast(server, "warning", "Maintenance at <b>noon</b>")
    broadcast(server, "info", "It is over")

    notices = ada.page.locator(".notice")
    expect(notices).to_have_count(2)
    expect(notices.first.locator("strong")).to_have_text("Warning")
    expect(notices.first.locator("span")).to_have_text("Tonight: Maintenance at <b>noon</b>")
    notices.first.get_by_role("button", name="Dismiss").click()
    expect(notices).to_have_count(1)
    expect(notices.locator("strong")).to_have_text("Notice")
    ada.page.click(".bar .language")
    expect(notices.locator("strong")).to_have_text("通知")


def test_typing_shows_again_right_after_a_message(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    ada.page.locator("#text").press_sequentially("Hello")
    expect(bob.page.locator("#typing")).to_have_text("Ada is typing")
    ada.page.press("#text", "Enter")
    bob.sees("Hello")
    expect(bob.page.locator("#typing")).to_have_text("")

    ada.page.locator("#text").press_sequentially("a")

    # Well within the two seconds that lie between two such frames otherwise.
    expect(bob.page.locator("#typing")).to_have_text("Ada is typing", timeout=1_000)


def become(tab: Tab, server: Any, seconds: int) -> None:
    """Has the tab be Ada by name, with a token that soon ends."""
    tab.page.evaluate(
        """([token, end]) => {
            const kept = JSON.parse(sessionStorage['anmei.session']);
            sessionStorage['anmei.session'] =
                JSON.stringify({...kept, token, expires_at: new Date(end).toISOString()});
        }""",
        [
            server.token(user_of(tab), name="Ada", ttl=seconds),
            (int(time.time()) + seconds) * 1000,
        ],
    )
    tab.page.reload()
    tab.is_connected()


def user_of(tab: Tab) -> str:
    return tab.page.evaluate("JSON.parse(sessionStorage['anmei.session']).user_id")


def test_a_token_that_ends_is_renewed_and_the_tab_stays_who_it_is(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei({"JWT_LEEWAY": "0"})
    ada = open_tab(server).sign_in("Ada")
    user = user_of(ada)
    become(ada, server, 6)
    short = ada.page.evaluate("JSON.parse(sessionStorage['anmei.session']).token")

    ada.page.click("#inspector summary")
    sent = ada.page.locator("#frames li").filter(has_text="refresh_token")
    expect(sent).to_have_count(1, timeout=10_000)

    ada.page.wait_for_function(
        "old => JSON.parse(sessionStorage['anmei.session']).token !== old", arg=short
    )
    # Past the end of the first token it still is the same connection of the same user.
    ada.page.wait_for_timeout(3_000)
    ada.say("still me")
    expect(ada.mark("still me")).to_have_attribute("data-state", "sent")
    assert user_of(ada) == user
    expect(ada.page.locator("#frames strong", has_text="disconnect")).to_have_count(0)


def test_when_the_token_has_ended_the_name_is_asked_for_and_nothing_unsent_is_lost(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei({"JWT_LEEWAY": "0"})
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")

    def refuse_renewal(route: Route) -> None:
        if "authorization" in route.request.headers:
            route.fulfill(status=401, json={"error": {"message": "the token has expired"}})
        else:
            route.continue_()

    ada.page.route("**/demo/sign-in", refuse_renewal)
    ada.page.route_web_socket(re.compile("/ws/chat"), lose_messages)
    become(ada, server, 4)
    ada.say("said before the end")
    expect(ada.mark("said before the end")).to_have_attribute("data-state", "sending")

    expect(ada.page.locator("#name")).to_be_visible(timeout=15_000)
    assert ada.page.input_value("#name") == "Ada"
    ada.complaints.clear()  # the browser itself notes the 401
    ada.page.unroute("**/demo/sign-in")
    ada.page.route_web_socket(re.compile("/ws/chat"), lambda link: link.connect_to_server())
    ada.page.press("#name", "Enter")

    ada.is_connected()
    bob.sees("said before the end")
    expect(ada.mark("said before the end")).to_have_attribute("data-state", "read")


def lose_messages(link: WebSocketRoute) -> None:
    """A connection on which nothing that is sent to the room arrives."""
    onward = link.connect_to_server()
    link.on_message(lambda frame: None if '"send_message"' in str(frame) else onward.send(frame))


# Controls and pictures that are shown and that assistive technology could not call by any name.
UNNAMED = """() => {
    const named = (element) =>
        element.getAttribute('aria-label') || element.textContent.trim() ||
        [...(element.labels ?? [])].some((label) => label.textContent.trim()) ||
        (element.tagName === 'IMG' && element.hasAttribute('alt'));
    return [...document.querySelectorAll('button, input, textarea, select, a, img, [role=img]')]
        .filter((element) => element.checkVisibility() && !named(element))
        .map((element) => element.outerHTML);
}"""

# Texts that are shown with less than 4.5:1 against the first ground behind them (WCAG 2.2, 1.4.3).
FAINT = """() => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const over = (top, under) => {
        const alpha = top[3] ?? 1;
        return [0, 1, 2].map((i) => top[i] * alpha + under[i] * (1 - alpha));
    };
    const light = (rgb) => {
        const [r, g, b] = rgb.map((value) => {
            const part = value / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) {
            const colour = numbers(getComputedStyle(at).backgroundColor);
            layers.push(colour);
            if ((colour[3] ?? 1) === 1) break;
        }
        return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
    };
    // What is drawn through an opacity is paler than its colour says.
    const opacity = (element) => {
        let product = 1;
        for (let at = element; at; at = at.parentElement) product *= getComputedStyle(at).opacity;
        return product;
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
        if (element.closest('.unseen, [aria-hidden=true], :disabled')) continue;
        const behind = ground(element);
        const colour = numbers(getComputedStyle(element).color);
        const front = over([...colour.slice(0, 3), (colour[3] ?? 1) * opacity(element)], behind);
        const [a, b] = [light(front), light(behind)].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5) {
            faint.push(`${contrast.toFixed(2)} ${element.className || element.tagName}`
                + `: ${walker.currentNode.data.trim().slice(0, 40)}`);
        }
    }
    return [...new Set(faint)];
}"""
