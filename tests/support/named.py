"""Everything that a client can name a conversation, a message or a file in: frames and routes.

Whatever is known to the server stands here, in one of the lists or among what names nothing of the
kind; the tests fail where something is in neither.
"""

import json
import re
from typing import Any, NamedTuple

#: What stands in the lists for an id of the place that is tried, and for one's own.
ROOM, MESSAGE, PERSONAL, FILE = "{room}", "{message}", "{personal}", "{file}"
OWN_ROOM, OWN_MESSAGE = "{own_room}", "{own_message}"


class Place(NamedTuple):
    """A conversation and what is in it, or what could be: the ids of those that are not there."""

    room: str
    message: str
    #: A message in somebody's inbox.
    personal: str
    file: str


class Own(NamedTuple):
    """Where whoever tries is in."""

    own_room: str
    own_message: str


FRAMES: list[tuple[str, dict[str, Any]]] = [
    ("send_message", {"conversation_id": ROOM, "content": "let me in", "client_msg_id": "m-1"}),
    ("history", {"conversation_id": ROOM}),
    ("history", {"conversation_id": ROOM, "before_seq": 3, "limit": 1}),
    ("delivered", {"conversation_id": ROOM, "seq": 1}),
    ("delivered", {"conversation_id": ROOM, "message_ids": [MESSAGE]}),
    ("mark_read", {"conversation_id": ROOM, "seq": 1}),
    ("mark_read", {"conversation_id": ROOM, "message_ids": [MESSAGE]}),
    ("typing", {"conversation_id": ROOM, "is_typing": True}),
    ("join_session", {"conversation_id": ROOM}),
    ("leave_session", {"conversation_id": ROOM}),
    ("mute_conversation", {"conversation_id": ROOM}),
    ("pin_conversation", {"conversation_id": ROOM}),
    ("save_draft", {"conversation_id": ROOM, "text": "let me in"}),
    ("edit_message", {"message_id": MESSAGE, "content": "mine"}),
    ("edit_message", {"message_id": PERSONAL, "content": "mine"}),
    ("recall_message", {"message_id": MESSAGE}),
    ("recall_message", {"message_id": PERSONAL}),
    ("react", {"message_id": MESSAGE, "emoji": "x"}),
    ("react", {"message_id": MESSAGE, "emoji": "x", "on": False}),
    ("pin_message", {"message_id": MESSAGE}),
    ("pin_message", {"message_id": MESSAGE, "on": False}),
    ("forward_message", {"message_id": MESSAGE, "conversation_ids": [OWN_ROOM]}),
    ("forward_message", {"message_id": PERSONAL, "conversation_ids": [OWN_ROOM]}),
    ("forward_message", {"message_id": OWN_MESSAGE, "conversation_ids": [OWN_ROOM, ROOM]}),
]
#: What a member's own conversation is sent with something that is not there for him: answered
#: alike, though not as `not_found` each time.
BESIDE: list[tuple[str, dict[str, Any]]] = [
    (
        "send_message",
        {"conversation_id": OWN_ROOM, "content": "", "client_msg_id": "m-2", "reply_to": MESSAGE},
    ),
    (
        "send_message",
        {
            "conversation_id": OWN_ROOM,
            "content": "",
            "client_msg_id": "m-3",
            "message_type": "file",
            "body": {"attachment_id": FILE, "name": "a", "size": 1},
        },
    ),
    ("mark_read", {"conversation_id": OWN_ROOM, "message_ids": [MESSAGE]}),
    ("mark_read", {"conversation_id": None, "message_ids": [PERSONAL, MESSAGE]}),
    ("delivered", {"conversation_id": None, "message_ids": [PERSONAL, MESSAGE]}),
    ("sync", {"positions": {ROOM: 0}}),
]
FRAMES_OF_NOTHING = {"authenticate", "refresh_token", "set_status", "ping"}

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
V1 = "/api/v1"
_TUS = {
    "Tus-Resumable": "1.0.0",
    "Upload-Offset": "0",
    "Content-Type": "application/offset+octet-stream",
}

#: By the pattern in the table of routes, `*` for an id: each path that is tried there with all
#: methods, and what is sent along.
ROUTES: dict[str, list[tuple[str, dict[str, Any] | None]]] = {
    "/conversations/*": [(ROOM, {"title": "mine"})],
    "/conversations/*/participants": [(ROOM, {"user_ids": ["mallory"]})],
    "/conversations/*/participants/*": [
        (f"{ROOM} mallory", None),
        (f"{ROOM} alice", None),
    ],
    "/conversations/*/messages": [
        (ROOM, {"content": "let me in"}),
        (ROOM, {"content": "let me in", "reply_to": MESSAGE, "mentions": ["alice"]}),
    ],
    "/conversations/*/export": [(ROOM, None)],
    "/conversations/*/read": [(ROOM, {"seq": 1}), (ROOM, {"message_ids": [MESSAGE]})],
    "/conversations/*/pins": [(ROOM, None)],
    "/conversations/*/tags": [(ROOM, None)],
    "/conversations/*/tags/*": [(f"{ROOM} todo", None)],
    "/conversations/*/category": [(ROOM, {"category": "work"})],
    "/conversations/*/preferences": [(ROOM, {"muted": True})],
    "/chat/*/send": [(ROOM, {"content": "let me in"})],
    "/messages/*": [(MESSAGE, {"content": "mine"}), (PERSONAL, {"content": "mine"})],
    "/messages/*/recall": [(MESSAGE, {}), (PERSONAL, {})],
    "/messages/*/forward": [
        (MESSAGE, {"conversation_ids": [OWN_ROOM]}),
        (PERSONAL, {"conversation_ids": [OWN_ROOM]}),
        (OWN_MESSAGE, {"conversation_ids": [OWN_ROOM, ROOM]}),
    ],
    "/messages/*/reactions": [(MESSAGE, None)],
    "/messages/*/reactions/*": [(f"{MESSAGE} x", None)],
    "/messages/*/pin": [(MESSAGE, None)],
    "/messages/*/tags": [(MESSAGE, None), (PERSONAL, None)],
    "/messages/*/tags/*": [(f"{MESSAGE} todo", None), (f"{PERSONAL} todo", None)],
    "/messages/*/status": [(MESSAGE, None), (PERSONAL, None)],
    "/messages/search": [(f"?conversation_id={ROOM}", None)],
    "/inbox/*": [(MESSAGE, None), (PERSONAL, None)],
    "/files/*": [(FILE, None)],
}
#: Lists of what is one's own, names that are no ids of these, and what only some roles may do at
#: all; for each of them there are tests of its own.
ROUTES_OF_NOTHING = {
    "/conversations",
    "/messages",
    "/inbox",
    "/inbox/read",
    "/unread",
    "/preferences",
    "/files",
    "/tags",
    "/tags/*/messages",
    "/tags/*/conversations",
    "/categories",
    "/categories/*/conversations",
    "/templates",
    "/templates/*",
    "/audit",
    "/tokens",
    "/tokens/revoke",
    "/tokens/revocations",
    "/websocket/stats",
    "/websocket/connections",
    "/websocket/users/*/connections",
    "/websocket/online-users",
    "/websocket/health",
    "/websocket/users/disconnect",
    "/websocket/broadcast",
    "/websocket/ping/*",
}


def tried(pattern: str, what: str) -> str:
    """The path of an entry of ROUTES; what is no query fills its stars in their order."""
    if what.startswith("?"):
        return V1 + pattern + what
    for part in what.split():
        pattern = pattern.replace("*", part, 1)
    return V1 + pattern


def headers(pattern: str, method: str) -> dict[str, str]:
    """What a request has to have besides, to be looked at."""
    return _TUS if pattern == "/files/*" and method == "PATCH" else {}


def fill(value: Any, place: Place, own: Own) -> Any:
    """An entry with the ids of a place in it."""
    text = json.dumps(value)
    for name, id in (*place._asdict().items(), *own._asdict().items()):
        text = text.replace(f"{{{name}}}", id)
    return json.loads(text)


def scrub(value: object, place: Place) -> str:
    """An answer without what differs between any two: ids and times."""
    text = json.dumps(value, sort_keys=True, default=str)
    for name, id in place._asdict().items():
        text = text.replace(id, f"<{name}>")
    text = re.sub(r"\b(req|conn|conv|msg|file)_[0-9a-z]{26}", r"\1_…", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "…", text)
