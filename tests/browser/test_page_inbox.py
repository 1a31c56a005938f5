"""The bell of the page: what a backend tells somebody, in every tab, read or not."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.tab import OpenTab, Tab, post, use_token


def notify(server: Any, *users: str, **more: Any) -> None:
    body = {"recipient_ids": users, "content": "Your order is on its way", **more}
    post(server, "shop", "/api/v1/messages", body)


def unread(page: Page) -> Any:
    return page.locator("#bell-count")


def start(anmei: Callable[..., Any], open_tab: OpenTab) -> tuple[Any, Tab, Tab]:
    """A server, and two tabs of one person on it."""
    server = anmei()
    tabs = (open_tab(server), open_tab(server))
    for tab in tabs:
        use_token(tab, server.token("ada", name="Ada"))
    return (server, *tabs)


def test_what_comes_is_counted_shown_and_read_in_every_tab(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server, one, two = start(anmei, open_tab)
    expect(unread(one.page)).to_be_hidden()
    notify(server, "ada", title="Order 7", priority="urgent")
    notify(server, "ada", content="<img src=x onerror=alert(1)>")
    for tab in (one, two):
        expect(unread(tab.page)).to_have_text("2")
    one.page.click("#bell")
    items = one.page.locator("#inbox-list button")
    expect(items).to_have_count(2)
    expect(items.last).to_contain_text("Order 7")
    expect(items.last.locator(".priority")).to_have_text("Urgent")
    expect(items.first.locator(".what")).to_have_text("<img src=x onerror=alert(1)>")
    items.last.click()
    for tab in (one, two):
        expect(unread(tab.page)).to_have_text("1")
    two.page.click("#bell")
    expect(two.page.locator('#inbox-list [data-unread="false"]')).to_have_count(1)
    two.page.click("#inbox-all")
    for tab in (one, two):
        expect(unread(tab.page)).to_be_hidden()
        expect(tab.page.locator('#inbox-list [data-unread="true"]')).to_have_count(0)
        assert tab.problems == []


def test_what_came_while_the_tab_was_away_is_there_and_what_was_read_stays_read(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server, one, two = start(anmei, open_tab)
    notify(server, "ada", content="before")
    expect(unread(two.page)).to_have_text("1")
    two.page.goto("about:blank")
    notify(server, "ada", content="meanwhile")
    expect(unread(one.page)).to_have_text("2")
    one.page.click("#bell")
    one.page.locator("#inbox-list button").last.click()
    expect(unread(one.page)).to_have_text("1")
    two.page.goto(server.url)
    two.is_connected()
    expect(unread(two.page)).to_have_text("1")
    two.page.click("#bell")
    shown = two.page.locator("#inbox-list .what")
    expect(shown).to_have_text(["meanwhile", "before"])
    assert one.problems == two.problems == []


def test_the_bell_is_used_with_the_keyboard_and_speaks_both_languages(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server, one, _ = start(anmei, open_tab)
    notify(server, "ada")
    bell = one.page.locator("#bell")
    expect(bell).to_have_attribute("aria-label", "Notifications: 1 unread")
    bell.focus()
    one.page.keyboard.press("Enter")
    expect(one.page.locator("#inbox")).to_be_visible()
    expect(bell).to_have_attribute("aria-expanded", "true")
    expect(one.page.locator("#inbox-title")).to_be_focused()
    for _ in range(3):
        one.page.keyboard.press("Tab")
    one.page.keyboard.press("Enter")
    expect(unread(one.page)).to_be_hidden()
    one.page.keyboard.press("Escape")
    expect(one.page.locator("#inbox")).to_be_hidden()
    expect(bell).to_be_focused()
    one.page.click(".bar .language")
    expect(bell).to_have_attribute("aria-label", "通知")
