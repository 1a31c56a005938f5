"""The page at `/` when people talk: real tabs of a real browser on a real server."""

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.browser.tab import OpenTab, broadcast, post, use_token


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
    expect(bob.page.locator("#typing")).to_have_text("")


def test_typing_ends_with_the_message(anmei: Callable[..., Any], open_tab: OpenTab) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    ada.page.locator("#text").press_sequentially("Hello")
    expect(bob.page.locator("#typing")).to_have_text("Ada is typing")

    ada.page.press("#text", "Enter")

    # Not some seconds later, when it would fade by itself.
    bob.sees("Hello")
    assert bob.page.locator("#typing").text_content() == ""


def test_typing_shows_again_right_after_a_message(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    clock = ada.page.clock
    clock.install()
    clock.pause_at(ada.page.evaluate("Date.now()") / 1000 + 10)
    ada.page.locator("#text").press_sequentially("Hello")
    clock.run_for(100)
    expect(bob.page.locator("#typing")).to_have_text("Ada is typing")
    ada.page.press("#text", "Enter")
    bob.sees("Hello")
    expect(bob.page.locator("#typing")).to_have_text("")

    ada.page.locator("#text").press_sequentially("a")
    clock.run_for(100)

    # By her clock well within the two seconds that lie between two such frames otherwise.
    expect(bob.page.locator("#typing")).to_have_text("Ada is typing")


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
    expect(row).to_have_attribute("data-status", "offline")
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


def test_people_who_meet_for_the_first_time_see_that_the_other_is_here(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    alice, bob = open_tab(server), open_tab(server)
    for tab, id, name in ((alice, "alice", "Alice"), (bob, "bob", "Bob")):
        room = {"kind": "group", "title": f"Only {name}", "participant_ids": []}
        post(server, id, "/api/v1/conversations", room)
        use_token(tab, server.token(id, name=name))
        tab.is_connected()
    room = {"kind": "group", "title": "Both", "participant_ids": ["bob"]}
    post(server, "alice", "/api/v1/conversations", room)

    for tab, other in ((alice, "Bob"), (bob, "Alice")):
        tab.page.get_by_role("button", name="Both").click()
        row = tab.page.locator(".people li").filter(has_text=other)
        expect(row).to_have_attribute("data-status", "online")


def test_older_messages_come_when_one_scrolls_up_and_the_view_does_not_jump(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    open_tab(server).sign_in("Ada")  # with whom the room comes about
    for number in range(120):
        content = {"content": f"message {number}"}
        post(server, "root", "/api/v1/conversations/lobby/messages", content)
    bob = open_tab(server).sign_in("Bob")
    bob.sees("message 119")
    assert bob.texts == [f"message {number}" for number in range(70, 120)]

    bob.scroll_up_until(100)
    top = bob.page.locator("#scroller").evaluate("scroller => scroller.scrollTop")
    assert top > 500
    bob.scroll_up_until(120)

    assert bob.texts == [f"message {number}" for number in range(120)]
    expect(bob.page.locator("#top")).to_have_text("This is where the conversation begins.")


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
