"""The page at `/` when the server dies, is away, or does not take what it is sent."""

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import WebSocketRoute, expect

from tests.browser.tab import BACK_MS, OpenTab


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


def test_a_tab_that_outlives_a_restored_backup_shows_what_the_server_has(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    ada.say("before the backup")
    bob.sees("before the backup")
    server.kill9()
    files = [path for path in server.data_dir.iterdir() if path.name.startswith("anmei.db")]
    backup = {path: path.read_bytes() for path in files}
    server.restart()
    ada.is_connected(BACK_MS)
    for number in range(3):
        ada.say(f"after it {number}")
    bob.is_connected(BACK_MS)
    bob.sees("after it 2")
    # What she does not know to be there she would send again.
    expect(ada.mark("after it 2")).to_have_attribute("data-state", "read")

    server.kill9()
    for path, content in backup.items():
        path.write_bytes(content)
    server.restart()
    bob.is_connected(BACK_MS)
    ada.is_connected(BACK_MS)
    expect(bob.page.locator("#messages")).not_to_contain_text("after it")
    ada.say("and on it goes")
    bob.sees("and on it goes")
    expect(ada.mark("and on it goes")).to_have_attribute("data-state", "read")
    assert ada.texts == bob.texts == ["before the backup", "and on it goes"]


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
    expect(ada.page.locator("#banner")).to_be_visible()
    server.restart()
    # By script: the page may try by itself at any moment, and the button is of no use then.
    tried = ada.page.locator("#try-now").evaluate(
        """button => {
            button.click();
            return document.getElementById('connection').dataset.state;
        }"""
    )
    assert tried in ("connecting", "online")
    ada.is_connected()
    expect(ada.page.locator("#banner")).to_be_hidden()


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
