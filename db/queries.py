"""What can be read: every function takes a database and returns plain values."""

from db.query_attachments import attachment, removed_files, upload
from db.query_audit import audit
from db.query_backlogs import changes_many, distances, newest_many
from db.query_heads import (
    AttachView,
    Place,
    attach_view,
    conversation,
    device_place,
    heads,
    memberships,
)
from db.query_history import (
    audience,
    changed_since,
    changes,
    distance,
    history,
    hole,
    newest,
    now,
    ping,
)
from db.query_inbox import inbox, inbox_unread
from db.query_messages import message, pins, reactions
from db.query_people import display_name, participants, small_conversations
from db.query_preferences import preference_seqs, preferences
from db.query_revocations import revocations, revocations_since
from db.query_search import Wanted, search
from db.query_status import message_status, recent_statuses
from db.query_transfer import are_in, export_head, export_messages, export_people, export_reactions
from db.query_unread import conversation_unread, unread, unread_and_newest, unread_of
from db.shapes import Backlog, Event

__all__ = [
    "AttachView",
    "Backlog",
    "Event",
    "Place",
    "are_in",
    "Wanted",
    "attach_view",
    "attachment",
    "audience",
    "audit",
    "changed_since",
    "changes",
    "changes_many",
    "conversation",
    "conversation_unread",
    "device_place",
    "display_name",
    "distance",
    "distances",
    "export_head",
    "export_messages",
    "export_people",
    "export_reactions",
    "heads",
    "history",
    "hole",
    "inbox",
    "inbox_unread",
    "memberships",
    "message_status",
    "message",
    "newest",
    "newest_many",
    "now",
    "participants",
    "ping",
    "preference_seqs",
    "preferences",
    "recent_statuses",
    "pins",
    "reactions",
    "revocations",
    "revocations_since",
    "removed_files",
    "search",
    "small_conversations",
    "unread",
    "unread_and_newest",
    "unread_of",
    "upload",
]
