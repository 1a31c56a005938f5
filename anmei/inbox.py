"""Inboxes: every user has one, a stream of numbered events like a conversation's.

It goes by a key of its own, the user's with `!inbox` behind it. No id has a `!` in it, so it can
clash with no conversation.
"""

from typing import Any

from anmei.commands import Audience, Change, Post

_MARK = "!inbox"


def inbox_key(user_key: str) -> str:
    """The key of a user's inbox."""
    return user_key + _MARK


def is_inbox(key: str) -> bool:
    """Whether `key` is an inbox's, and not a conversation's."""
    return key.endswith(_MARK)


def owner_of(key: str) -> str:
    """The key of the user whose inbox it is."""
    return key.removesuffix(_MARK)


def audience_of(key: str) -> Audience:
    """Who is in an inbox: its owner, always."""
    return Audience(0, frozenset((owner_of(key),)))


def change_of(user_key: str, change_seq: int, type: str, data: dict[str, Any]) -> Change:
    """One numbered event of a user's inbox."""
    key = inbox_key(user_key)
    return Change(key, change_seq, type, data, audience_of(key))


def notification(message: dict[str, Any], seq: int) -> dict[str, Any]:
    """A personal message that has just come, as the one sees it in whose inbox it has `seq`."""
    return {
        **message,
        "seq": seq,
        "inbox_seq": seq,
        "change_seq": seq,
        "is_read": False,
        "read_at": None,
    }


def arrival(post: Post, user_key: str) -> Change:
    """The event that a personal message is to one of those whom it is for."""
    seq = post.numbers[user_key]
    return change_of(user_key, seq, "notification", notification(post.message, seq))


def concerned(change: Change) -> frozenset[str]:
    """Who is told of it: the audience, those who are in it no longer, and who watches an inbox."""
    members = change.audience.members
    if is_inbox(change.conversation_key):
        return members.union((change.conversation_key,))
    return members.union(change.removed) if change.removed else members
