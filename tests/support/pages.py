"""The documents, as tests read them."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.process import ROOT

DOCS = ROOT / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text()
HTTP = (DOCS / "http.md").read_text()
README = (ROOT / "README.md").read_text()

#: Every event that the server sends. That it does is checked below, in both directions.
EVENTS = (
    "connection_established",
    "new_message",
    "message_updated",
    "conversation_updated",
    "notification",
    "notification_updated",
    "notification_removed",
    "inbox_read",
    "sync_complete",
    "message_status_update",
    "unread_update",
    "preference_update",
    "unread_totals",
    "typing",
    "session_joined",
    "session_left",
    "user_status_update",
    "token_expiring",
    "system_notification",
    "disconnect",
)
#: Events that are described before anything sends them.
NOT_SENT_YET: set[str] = set()
ANSWERS = ("ack", "error", "pong")


def blocks(language: str, text: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)


def frames() -> Iterator[dict[str, Any]]:
    """Every frame that the protocol page shows."""
    for block in blocks("json", PROTOCOL):
        yield json.loads(block)


def events() -> dict[str, dict[str, Any]]:
    """The data of the first example of each event."""
    found: dict[str, dict[str, Any]] = {}
    for frame in frames():
        if "ts" in frame and frame["type"] not in ANSWERS:
            found.setdefault(frame["type"], frame["data"])
    return found
