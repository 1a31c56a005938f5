"""Two tabs of one person show the same draft, mute, order and status, also after a reload."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.browser.tab import OpenTab, post, use_token


def test_what_is_set_in_one_tab_shows_in_the_other_and_after_a_reload(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    for id in ("plans", "team"):
        room = {"kind": "group", "id": id, "title": id.title(), "participant_ids": ["bob"]}
        post(server, "alice", "/api/v1/conversations", room)
    one, two = open_tab(server), open_tab(server)
    for tab in (one, two):
        use_token(tab, server.token("alice", name="Alice"))
        expect(tab.page.locator("#room-title")).to_have_text("Team")

    one.page.fill("#text", "half a sent")
    expect(two.page.locator("#text")).to_have_value("half a sent")
    two.page.click("#mute")
    expect(one.page.locator("#mute")).to_have_attribute("aria-pressed", "true")
    listed = one.page.locator(".conversations button")
    expect(listed.first).to_contain_text("muted")
    two.page.click("#on-top")
    expect(listed.first).to_contain_text("muted · on top")
    post(server, "bob", "/api/v1/conversations/plans/messages", {"content": "not first"})
    expect(listed.nth(1)).to_contain_text("not first")
    listed.nth(1).click()
    expect(one.page).to_have_title("Plans · Anmei")
    listed.first.click()
    one.page.select_option("#status", "busy")
    expect(two.page.locator("#status")).to_have_value("busy")

    post(server, "bob", "/api/v1/conversations/team/messages", {"content": "psst"})
    one.sees("psst")
    assert "(" not in one.page.title()

    two.page.reload()
    two.is_connected()
    expect(two.page.locator("#text")).to_have_value("half a sent")
    expect(two.page.locator("#mute")).to_have_attribute("aria-pressed", "true")
    expect(two.page.locator("#on-top")).to_have_attribute("aria-pressed", "true")
    expect(two.page.locator("#status")).to_have_value("busy")

    one.page.press("#text", "Enter")
    one.sees("half a sent")
    expect(two.page.locator("#text")).to_have_value("")
    assert one.problems == two.problems == []
