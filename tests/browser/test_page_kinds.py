"""The page at `/` shows messages of other kinds than text, and leads only where links may lead."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from anmei.clock import now_ms
from anmei.commands import SendMessage
from anmei.commands_previews import SetPreview
from db.store import opened
from tests.browser.tab import OpenTab, post

URL = "http://a.example/page"
PREVIEW = (
    '{"url":"http://a.example/page","title":"<b>A page</b>","description":"About it",'
    '"image_url":null,"site_name":null}'
)


def test_a_card_its_links_and_the_preview_of_a_page_are_shown_as_text(
    anmei: Callable[..., Any], open_tab: OpenTab, sqlite_url: str
) -> None:
    server = anmei({"DATABASE_URL": sqlite_url})
    ada = open_tab(server).sign_in("Ada")
    card = {
        "title": "<i>Lunch</i>",
        "url": "https://b.example/x",
        "buttons": [{"label": "Map", "url": "https://c.example/"}, {"label": "Y", "action": "y"}],
    }
    room = "/api/v1/conversations/lobby/messages"
    post(server, "root", room, {"content": "lunch?", "message_type": "card", "body": card})
    ada.sees("<i>Lunch</i>")
    event = {"event": "call.ended", "values": {}}
    post(server, "root", room, {"content": "", "message_type": "system", "body": event})
    ada.sees("call.ended")

    with opened(sqlite_url, timeout_ms=30_000) as store:
        message = SendMessage(
            **{"conversation_key": "default/lobby", "sender_key": "default/root"},
            **{"sender_name": "root", "message_id": "msg_1", "client_msg_id": "c1"},
            **{"content": f"see {URL}", "created_at": now_ms(), "as_member": False},
        )
        preview = SetPreview("default/lobby", "msg_1", URL, PREVIEW)
        sent, _ = store.write([message, preview]).result(60)
        assert sent.error is None
    ada.page.reload()
    ada.sees(f"see {URL}")

    links = ada.page.locator("#messages a")
    expect(links).to_have_count(3)
    shown = [(link.get_attribute("href"), link.inner_text().split("\n")) for link in links.all()]
    assert shown == [
        ("https://b.example/x", ["b.example"]),
        ("https://c.example/", ["Map"]),
        (URL, ["<b>A page</b>", "a.example", "About it"]),
    ]
    for link in links.all():
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
