"""The page at `/` when messages change: real tabs of a real browser on a real server."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.tab import OpenTab, Tab


def row_of(tab: Tab, text: str) -> Any:
    return tab.bubble(text).locator("xpath=ancestor::li")


def open_tools(tab: Tab, text: str) -> Any:
    row = row_of(tab, text)
    row.hover()
    row.locator(".opener").click()
    expect(row.locator(".tools")).to_be_visible()
    return row


def test_what_becomes_of_a_message_is_seen_by_everybody(
    anmei: Callable[..., Any], open_tab: OpenTab, pictures: Callable[[Page, str], Any]
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server, locale="zh-CN").sign_in("Bob")
    for text in ("good morning", "a secret", "lunch at one?"):
        ada.say(text)
    bob.sees("lunch at one?")
    bob.say("yes!")
    ada.sees("yes!")
    # Nobody edits what others said.
    assert "Edit" not in open_tools(ada, "yes!").locator(".tools").inner_text()
    ada.page.locator(".tools button").first.click()

    # Escape closes the tools, wherever in them the focus is, and leaves it where they were opened.
    row = open_tools(ada, "good morning")
    row.locator(".tools button").last.focus()
    ada.page.keyboard.press("Escape")
    expect(row.locator(".tools")).to_have_count(0)
    expect(row.locator(".opener")).to_be_focused()

    row = open_tools(bob, "lunch at one?")
    row.get_by_role("button", name="用 👍 回应").click()
    reaction = row_of(ada, "lunch at one?")
    expect(reaction.locator(".reaction")).to_have_attribute("aria-label", "👍 Bob")
    reaction.locator(".reaction").click()
    expect(reaction.locator(".reaction")).to_have_attribute("aria-pressed", "true")
    expect(reaction.locator(".reaction")).to_be_focused()
    given = row_of(bob, "lunch at one?").locator(".reaction")
    expect(given).to_have_attribute("aria-label", "👍 我, Ada")

    ada.page.fill("#text", "a draft")
    open_tools(ada, "good morning").get_by_role("button", name="Edit").click()
    expect(ada.page.locator("#text")).to_have_value("good morning")
    expect(ada.page.locator("#changing")).to_be_visible()
    ada.page.press("#text", "Escape")
    expect(ada.page.locator("#text")).to_have_value("a draft")
    open_tools(ada, "good morning").get_by_role("button", name="Edit").click()
    ada.page.fill("#text", "good evening")
    ada.page.press("#text", "Enter")
    bob.sees("good evening")
    expect(bob.bubble("good evening").locator(".tail")).to_contain_text("已编辑")
    expect(ada.page.locator("#text")).to_have_value("a draft")

    row = open_tools(ada, "a secret")
    row.get_by_role("button", name="Take back").press("Enter")
    bob.sees("消息已撤回。")
    ada.sees("This message was taken back.")
    expect(row_of(ada, "This message was taken back.")).to_be_focused()
    for tab in (ada, bob):
        expect(tab.page.locator("#messages")).not_to_contain_text("a secret")

    # What was taken back before it was read is not unread any more.
    bob.hide()
    ada.say("oops")
    expect(bob.page).to_have_title("(1) Lobby · Anmei")
    open_tools(ada, "oops").get_by_role("button", name="Take back").click()
    expect(bob.page).to_have_title("Lobby · Anmei")

    open_tools(ada, "lunch at one?")
    for tab, name in ((ada, "later-en"), (bob, "later-zh")):
        for taken in pictures(tab.page, name):
            assert taken.stat().st_size > 0
    ada.page.reload()
    ada.is_connected()
    expect(ada.page.locator("#messages .text")).to_have_count(5)
    gone = "This message was taken back."
    assert ada.texts == ["good evening", gone, "lunch at one?", "yes!", gone]


def test_what_is_refused_is_said(anmei: Callable[..., Any], open_tab: OpenTab) -> None:
    server = anmei({"ANMEI_RECALL_WINDOW": "1"})
    ada = open_tab(server).sign_in("Ada")
    bob = open_tab(server).sign_in("Bob")
    bob.say("for ever")
    ada.sees("for ever")
    open_tools(bob, "for ever").get_by_role("button", name="Take back").click()
    expect(bob.page.locator("#notices")).to_contain_text("too late")
    bob.sees("for ever")
