"""The search of the page: what was found, shown and reached with the keyboard alone."""

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Route, expect

from tests.browser.tab import OpenTab


def test_a_message_is_found_marked_and_reached_with_the_keyboard(
    anmei: Callable[..., Any],
    open_tab: OpenTab,
) -> None:
    ada = open_tab(anmei({"ANMEI_SEARCH_INTERVAL": "20"})).sign_in("Ada")
    page = ada.page
    for text in (
        "今天天气很好",
        "<b>weather</b> report",
        *map(str, range(60)),
        "明天的天气怎么样?",
    ):
        ada.say(text)
    expect(ada.mark("明天的天气怎么样?")).to_have_attribute("data-state", "sent")
    found = page.locator("#found-list button")

    page.focus("#q")
    page.keyboard.type("天气")
    expect(found).to_have_count(2)
    expect(page.locator("#found-title")).to_have_text("2 messages")
    expect(page.locator("#found-list mark")).to_have_text(["天气", "天气"])
    expect(page.locator("#conversations")).to_be_hidden()

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(found.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    pointed = page.locator("#messages .message.pointed")
    expect(pointed).to_have_text(re.compile("今天天气很好"))
    expect(pointed).to_be_focused()
    expect(pointed).to_be_in_viewport()

    page.fill("#q", "WEATHER")
    expect(found.locator(".snippet")).to_have_text(["<b>weather</b> report"])
    # What is taken back is not among what was found any more.
    page.fill("#q", "天气")
    expect(found).to_have_count(2)
    newest = ada.bubble("明天的天气怎么样?").locator("xpath=ancestor::li")
    newest.locator(".opener").click()
    newest.get_by_role("button", name="Take back").click()
    expect(found).to_have_count(1)
    page.fill("#q", "nowhere")
    expect(page.locator("#found-title")).to_have_text("Nothing found")
    page.click(".bar .language")
    expect(page.locator("#found-title")).to_have_text("没有找到")
    page.focus("#q")
    page.keyboard.press("Escape")
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#found")).to_be_hidden()
    expect(page.locator("#conversations")).to_be_visible()


def test_what_is_found_later_leaves_the_focus_where_it_was(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    ada = open_tab(anmei({"ANMEI_SEARCH_INTERVAL": "20"})).sign_in("Ada")
    page = ada.page
    for text in ("tea at four", "more tea"):
        ada.say(text)
        expect(ada.mark(text)).to_have_attribute("data-state", "sent")
    found = page.locator("#found-list button")
    page.fill("#q", "tea")
    expect(found).to_have_count(2)

    def without_the_newest(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body.update(results=body["results"][1:], up_to_date=False)
        route.fulfill(response=answer, json=body)

    page.route("**/messages/search?*", without_the_newest)
    page.press("#q", "Enter")
    expect(found).to_have_count(1)
    page.press("#q", "ArrowDown")
    expect(found.first).to_be_focused()
    page.unroute("**/messages/search?*")
    expect(found).to_have_count(2)
    expect(found.nth(1)).to_be_focused()
    expect(found.nth(1)).to_contain_text("tea at four")
