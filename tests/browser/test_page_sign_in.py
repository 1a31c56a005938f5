"""The page at `/`: how one comes in, and what happens when a token ends."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Route, WebSocketRoute, expect

from tests.browser.tab import OpenTab, Tab, use_token
from tests.support.process import ROOT


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


#: How long such a token lasts: a page takes seconds to load on a busy machine, and a fifth of what
#: is left then must be enough to renew it.
SOON = 15


def become(tab: Tab, server: Any) -> float:
    """Has the tab be Ada by name, with a token that soon ends; when, in seconds since 1970."""
    end = int(time.time()) + SOON
    tab.page.evaluate(
        """([token, end]) => {
            const kept = JSON.parse(sessionStorage['anmei.session']);
            sessionStorage['anmei.session'] =
                JSON.stringify({...kept, token, expires_at: new Date(end).toISOString()});
        }""",
        [
            server.token(user_of(tab), name="Ada", exp=end),
            end * 1000,
        ],
    )
    tab.page.reload()
    tab.is_connected()
    return end


def user_of(tab: Tab) -> str:
    return tab.page.evaluate("JSON.parse(sessionStorage['anmei.session']).user_id")


def test_a_token_that_ends_is_renewed_and_the_tab_stays_who_it_is(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei({"JWT_LEEWAY": "0"})
    ada = open_tab(server).sign_in("Ada")
    user = user_of(ada)
    end = become(ada, server)
    short = ada.page.evaluate("JSON.parse(sessionStorage['anmei.session']).token")

    ada.page.click("#inspector summary")
    sent = ada.page.locator("#frames li").filter(has_text="refresh_token")
    expect(sent).to_have_count(1)

    ada.page.wait_for_function(
        "old => JSON.parse(sessionStorage['anmei.session']).token !== old", arg=short
    )
    # Past the end of the first token it still is the same connection of the same user.
    ada.page.wait_for_timeout(max(0, end + 1 - time.time()) * 1000)
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
    become(ada, server)
    ada.say("said before the end")
    expect(ada.mark("said before the end")).to_have_attribute("data-state", "sending")

    expect(ada.page.locator("#name")).to_be_visible()
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
