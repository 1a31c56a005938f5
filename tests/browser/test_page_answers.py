"""The page at `/` when messages are replied to, forwarded and pinned, in real tabs."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.tab import OpenTab, Tab, post, use_token
from tests.support.process import AnmeiProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnmeiProcess]:
    node = AnmeiProcess(tmp_path_factory.mktemp("answers")).start()
    yield node
    node.close()


def make_room(server: Any, id: str, title: str, kind: str = "group") -> None:
    room = {"kind": kind, "id": id, "title": title, "participant_ids": ["bob"]}
    post(server, "ada", "/api/v1/conversations", room)


def enter(tab: Tab, server: Any, user: str, room: str) -> Tab:
    use_token(tab, server.token(user, name=user.title()))
    open_room(tab, room)
    return tab


def open_room(tab: Tab, title: str) -> None:
    tab.page.locator("#conversations").get_by_text(title, exact=True).click()
    expect(tab.page.locator("#room-title")).to_have_text(title)
    expect(tab.page.locator("#top")).not_to_have_text(re.compile("Loading|正在加载"))


def row_of(tab: Tab, text: str) -> Any:
    """The row of a message; what another one quotes of it is not meant."""
    words = re.compile(f"^{re.escape(text)}$")
    return tab.page.locator("#messages .text").filter(has_text=words).locator("xpath=ancestor::li")


def choose(tab: Tab, text: str, tool: str) -> None:
    """Chooses a tool of a message by the keyboard alone."""
    row_of(tab, text).locator(".opener").press("Enter")
    row_of(tab, text).get_by_role("button", name=tool, exact=True).press("Enter")


def test_a_reply_quotes_what_it_answers_until_that_is_taken_back(
    server: AnmeiProcess, open_tab: OpenTab
) -> None:
    make_room(server, "lunch", "Lunch")
    make_room(server, "dinner", "Dinner")
    ada = enter(open_tab(server), server, "ada", "Lunch")
    bob = enter(open_tab(server, locale="zh-CN"), server, "bob", "Lunch")
    ada.say("at one?")
    ada.say("a secret")
    bob.sees("a secret")
    reply, text = bob.page.locator("#reply"), bob.page.locator("#text")

    choose(bob, "at one?", "回复")
    expect(text).to_be_focused()
    expect(bob.page.locator("#reply-to")).to_have_text("回复 Ada")
    expect(bob.page.locator("#reply-text")).to_have_text("at one?")
    text.fill("a draft")
    text.press("Escape")
    expect(reply).to_be_hidden()
    expect(text).to_have_value("a draft")

    # What is answered stays with its conversation, and is for one message.
    choose(bob, "at one?", "回复")
    open_room(bob, "Dinner")
    expect(reply).to_be_hidden()
    open_room(bob, "Lunch")
    expect(reply).to_be_visible()
    bob.say("yes")
    expect(reply).to_be_hidden()
    bob.say("of course")
    quote = row_of(ada, "yes").locator(".quote")
    expect(quote).to_have_text(re.compile("Ada.*at one?"))
    ada.sees("of course")
    expect(ada.page.locator("#messages .quote")).to_have_count(1)
    quote.press("Enter")
    expect(row_of(ada, "at one?")).to_be_focused()

    # To edit a message and to reply to one exclude each other.
    choose(bob, "at one?", "回复")
    choose(bob, "of course", "编辑")
    expect(reply).to_be_hidden()
    choose(bob, "at one?", "回复")
    expect(bob.page.locator("#changing")).to_be_hidden()

    # A reply that cannot be sent as it is remains one.
    text.evaluate("text => { text.value = 'n\\0'; }")
    text.press("Enter")
    bob.page.locator(".message.failed").get_by_role("button", name="编辑").click()
    expect(bob.page.locator("#reply-text")).to_have_text("at one?")
    bob.page.click("#reply-cancel")
    expect(reply).to_be_hidden()
    text.fill("")

    choose(bob, "at one?", "回复")
    menu = {"name": "menu.txt", "mimeType": "text/plain", "buffer": b"soup"}
    bob.page.set_input_files("#file", menu)
    carrying = ada.page.locator("#messages .message").filter(has_text="menu.txt")
    expect(carrying.locator(".quote")).to_have_text(re.compile("at one?"))
    expect(reply).to_be_hidden()

    choose(bob, "a secret", "回复")
    bob.say("hush")
    ada.sees("hush")
    choose(bob, "a secret", "回复")
    choose(ada, "a secret", "Take back")
    expect(reply).to_be_hidden()
    expect(row_of(bob, "hush").locator(".quote")).to_have_text(re.compile("消息已撤回。"))
    expect(bob.page.locator("body")).not_to_contain_text("a secret")


def test_a_message_is_forwarded_to_a_conversation_of_the_list(
    server: AnmeiProcess, open_tab: OpenTab
) -> None:
    make_room(server, "here", "Here")
    make_room(server, "there", "Over there")
    make_room(server, "news", "News of the house", kind="system")
    ada = enter(open_tab(server), server, "ada", "Here")
    bob = enter(open_tab(server), server, "bob", "Here")
    bob.say("pass it on")
    bob.say("not this one")
    ada.sees("not this one")
    titles = ada.page.locator("#forward-list button")

    choose(ada, "pass it on", "Forward")
    expect(ada.page.locator("#forward-filter")).to_be_focused()
    expect(ada.page.locator("#forward .quote")).to_have_text("Bobpass it on")
    assert {"Here", "Over there"} <= set(titles.all_text_contents())
    assert "News of the house" not in titles.all_text_contents()
    ada.page.keyboard.press("Escape")
    expect(ada.page.locator("#forward")).to_be_hidden()
    expect(row_of(ada, "pass it on").locator(".opener")).to_be_focused()

    choose(ada, "pass it on", "Forward")
    ada.page.keyboard.type("nowhere")
    expect(ada.page.locator("#forward-none")).to_be_visible()
    ada.page.locator("#forward-filter").fill("THERE")
    expect(titles).to_have_text(["Over there"])
    titles.press("Enter")
    expect(ada.page.locator("#room-title")).to_have_text("Over there")
    expect(row_of(ada, "pass it on").locator(".origin")).to_have_text("Forwarded from Bob")
    open_room(bob, "Over there")
    expect(row_of(bob, "pass it on").locator(".who")).to_have_text("Ada")

    # What cannot be done is said where it was chosen.
    open_room(ada, "Here")
    open_room(bob, "Here")
    choose(ada, "not this one", "Forward")
    choose(bob, "not this one", "Take back")
    expect(ada.page.locator("#messages")).to_contain_text("This message was taken back.")
    ada.page.locator("#forward-list").get_by_text("Over there").click()
    expect(ada.page.locator("#forward-error")).to_contain_text("the message was taken back")
    ada.page.click("#forward-close")
    expect(ada.page.locator("#forward")).to_be_hidden()


def test_pinned_messages_stand_in_the_head_of_the_room_and_lead_to_them(
    server: AnmeiProcess, open_tab: OpenTab
) -> None:
    make_room(server, "board", "Board")
    ids = []
    for number in range(60):
        path = "/api/v1/conversations/board/messages"
        sent = post(server, "bob", path, {"content": f"message {number}"})
        ids.append(sent["id"])
    ada = enter(open_tab(server), server, "ada", "Board")
    bob = enter(open_tab(server, locale="zh-CN"), server, "bob", "Board")
    head, everything = ada.page.locator("#pin-newest"), ada.page.locator("#pins-all")
    expect(ada.page.locator("#pins")).to_be_hidden()

    choose(bob, "message 59", "置顶")
    expect(head).to_have_text("bob message 59")
    expect(everything).to_be_hidden()
    for id in ids[:49]:
        post(server, "bob", f"/api/v1/messages/{id}/pin?sender_id=bob", {}, method="PUT")
    expect(everything).to_have_text("All 50")
    expect(head).to_have_text("bob message 48")
    choose(ada, "message 58", "Pin")
    expect(ada.page.locator("#notices")).to_contain_text("too many messages are pinned")

    # A tab that is loaded again has them, and leads to one that is older than what it shows.
    ada.page.reload()
    ada.is_connected()
    open_room(ada, "Board")
    assert "message 3" not in ada.texts
    everything.press("Enter")
    pins = ada.page.locator("#pin-list li")
    expect(pins).to_have_count(50)
    pins.get_by_role("button", name="bob message 3", exact=True).press("Enter")
    expect(row_of(ada, "message 3")).to_be_focused()
    expect(pins).to_have_count(0)

    everything.click()
    pins.nth(0).get_by_role("button", name="Unpin").press("Enter")
    expect(pins.nth(0)).to_contain_text("message 47")
    expect(pins.nth(0).locator(".pin")).to_be_focused()
    ada.page.keyboard.press("Escape")
    expect(everything).to_be_focused()
    expect(bob.page.locator("#pin-newest")).to_have_text("bob message 47")
    post(server, "bob", f"/api/v1/messages/{ids[47]}/recall", {"sender_id": "bob"})
    expect(head).to_have_text("bob message 46")
    choose(bob, "message 59", "取消置顶")
    expect(everything).to_have_text("All 47")
