"""The tables.

Times are whole milliseconds since 1970. Keys and ids are compared byte by byte on both databases.
The models are bound to no database: whoever runs a query names the one it runs on, since every
thread has its own.
"""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)


class User(Model):
    """Somebody who has connected, or was named as a participant."""

    key = TextField(primary_key=True)
    tenant = TextField()
    name = TextField()
    status = TextField(default="online")
    created_at = BigIntegerField()
    last_seen_at = BigIntegerField(null=True)

    class Meta:
        table_name = "users"


class Conversation(Model):
    """`last_seq` is the number of the last message, `change_seq` the last number given out,
    `meta_seq` the number of the last change to the conversation itself."""

    pk = BigAutoField()
    key = TextField(unique=True)
    tenant = TextField()
    kind = TextField()
    title = TextField(null=True)
    owner_key = TextField(index=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    last_seq = BigIntegerField(default=0)
    change_seq = BigIntegerField(default=0)
    meta_seq = BigIntegerField(default=0)
    members_version = BigIntegerField(default=0)
    participant_count = IntegerField(default=0)
    #: The pair of a direct conversation.
    dedup_key = TextField(null=True, unique=True)

    class Meta:
        table_name = "conversations"


class IdempotencyKey(Model):
    """Which conversation an owner's idempotency key was given for first."""

    #: The owner's key, a space, and the idempotency key.
    key = TextField(primary_key=True)
    conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)

    class Meta:
        table_name = "idempotency_keys"


class Participant(Model):
    """Who is, or was, in a conversation, and how far they have received and read it."""

    conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)
    user_key = TextField()
    role = TextField(default="member")
    active = BooleanField(default=True)
    joined_at = BigIntegerField()
    #: The number of the change that let them in last.
    joined_seq = BigIntegerField(default=0)
    #: When they left last, whether or not they have come back.
    left_at = BigIntegerField(null=True)
    last_delivered_seq = BigIntegerField(default=0)
    last_read_seq = BigIntegerField(default=0)
    #: How often these two have moved; the next move takes this number (see `MarkMove`).
    moves = IntegerField(default=0)

    class Meta:
        table_name = "participants"
        primary_key = CompositeKey("conversation", "user_key")
        indexes = ((("user_key", "active"), False),)


class MarkMove(Model):
    """When a participant's marks moved, and over what: above the first number, up to the second.
    The last moves of each participant are kept, in a ring of slots."""

    conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)
    user_key = TextField()
    slot = IntegerField()
    delivered_from = BigIntegerField()
    delivered_seq = BigIntegerField()
    read_from = BigIntegerField()
    read_seq = BigIntegerField()
    at = BigIntegerField()

    class Meta:
        table_name = "mark_moves"
        primary_key = CompositeKey("conversation", "user_key", "slot")


class PreferenceSeq(Model):
    """The last number given to a change of a user's preferences."""

    user_key = TextField(primary_key=True)
    seq = BigIntegerField()

    class Meta:
        table_name = "preference_seqs"


class Preference(Model):
    """What a user has set for one conversation, on whichever device; `seq` counts the changes of
    that user's preferences."""

    user_key = TextField()
    conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)
    seq = BigIntegerField()
    muted_until = BigIntegerField(null=True)
    pinned_at = BigIntegerField(null=True)
    draft = TextField(null=True)
    draft_at = BigIntegerField(null=True)

    class Meta:
        table_name = "preferences"
        primary_key = CompositeKey("user_key", "conversation")
        indexes = ((("user_key", "seq"), True),)


class Message(Model):
    """A message of a conversation, or, without one, a personal one (see `MessageRecipient`)."""

    pk = BigAutoField()
    id = TextField(unique=True)
    conversation = ForeignKeyField(Conversation, column_name="conversation", null=True, index=False)
    seq = BigIntegerField(default=0)
    change_seq = BigIntegerField(default=0)
    sender_key = TextField()
    sender_id = TextField()
    sender_name = TextField()
    sender_type = TextField()
    message_type = TextField()
    content = TextField()
    is_important = BooleanField()
    priority = TextField()
    reply_to = TextField(null=True)
    extra_metadata = TextField(null=True)
    client_msg_id = TextField()
    created_at = BigIntegerField()
    edited_at = BigIntegerField(null=True)
    recalled_at = BigIntegerField(null=True)
    #: Lists and an object in JSON, as the wire shows them.
    mentions = TextField(null=True)
    forwarded_from = TextField(null=True)
    #: What `Reaction` holds, summed up, so that nobody who reads the message needs that table.
    reactions = TextField(null=True)
    pinned_at = BigIntegerField(null=True)
    pinned_by = TextField(null=True)
    #: JSON: what a message of its kind holds, and what is shown of the page it links to.
    body = TextField(null=True)
    link_preview = TextField(null=True)
    #: Personal messages alone have these two, and each `client_msg_id` once a sender.
    title = TextField(null=True)
    category = TextField(null=True)

    class Meta:
        table_name = "messages"
        indexes = (
            (("conversation", "seq"), True),
            (("conversation", "change_seq"), False),
            (("conversation", "sender_key", "client_msg_id"), True),
        )


class Reaction(Model):
    """One user's emoji on a message; in the order they came."""

    pk = BigAutoField()
    message = ForeignKeyField(Message, column_name="message", index=False)
    user_key = TextField()
    emoji = TextField()
    created_at = BigIntegerField()

    class Meta:
        table_name = "reactions"
        indexes = (
            (("message", "user_key", "emoji"), True),
            (("message", "emoji", "pk"), False),
        )


class Audit(Model):
    """Who did what, when and to what; never what anybody said."""

    pk = BigAutoField()
    tenant = TextField()
    at = BigIntegerField()
    action = TextField()
    #: In whose name it was done, and the service that did it, where one did.
    actor_key = TextField()
    agent_key = TextField(null=True)
    conversation = ForeignKeyField(Conversation, column_name="conversation", null=True, index=False)
    message_id = TextField(null=True)
    change_seq = BigIntegerField(null=True)

    class Meta:
        table_name = "audit"
        indexes = (
            (("tenant", "pk"), False),
            (("actor_key", "pk"), False),
            (("conversation", "pk"), False),
            (("message_id", "pk"), False),
        )


class Inbox(Model):
    """What a user's personal messages are numbered and counted by. There is none before the first.

    All messages with a `seq` up to `delivered_seq` were delivered, and up to `read_seq` read;
    others may be. `meta_seq` is the number of the last change of `read_seq`.
    """

    user_key = TextField(primary_key=True)
    change_seq = BigIntegerField()
    unread = BigIntegerField()
    delivered_seq = BigIntegerField()
    read_seq = BigIntegerField()
    read_at = BigIntegerField()
    meta_seq = BigIntegerField()

    class Meta:
        table_name = "inboxes"


class MessageRecipient(Model):
    """One user's copy of a personal message. `seq` is its number in that user's inbox, and
    `change_seq` that of the last change to the copy; one taken out of the inbox stays as read."""

    message = ForeignKeyField(Message, column_name="message", index=False)
    recipient_key = TextField()
    seq = BigIntegerField()
    change_seq = BigIntegerField()
    is_read = BooleanField(default=False)
    read_at = BigIntegerField(null=True)
    delivered_at = BigIntegerField(null=True)
    removed_at = BigIntegerField(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "message_recipients"
        primary_key = CompositeKey("message", "recipient_key")
        indexes = (
            (("recipient_key", "seq"), True),
            (("recipient_key", "change_seq"), True),
            (("recipient_key", "is_read", "seq"), False),
        )


class Revocation(Model):
    """Tokens that hold no longer (see `anmei.revocation`). Numbers are given in the order of the
    commits and never twice, so whoever has seen one asks for those above it."""

    pk = BigAutoField()
    tenant = TextField()
    subject = TextField(unique=True)
    before = BigIntegerField()
    created_at = BigIntegerField()
    expires_at = BigIntegerField(index=True)

    class Meta:
        table_name = "revocations"
        indexes = ((("tenant", "pk"), False),)


class Device(Model):
    """A device that a user has connected with."""

    pk = BigAutoField()
    user_key = TextField()
    device_id = TextField()
    device_type = TextField()
    created_at = BigIntegerField()
    last_seen_at = BigIntegerField()
    #: How far it has received the user's inbox; null until it says so.
    inbox_seq = BigIntegerField(null=True)

    class Meta:
        table_name = "devices"
        indexes = ((("user_key", "device_id"), True),)


class DeviceMark(Model):
    """How far one device has received one conversation."""

    device = ForeignKeyField(Device, column_name="device", index=False)
    conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)
    seq = BigIntegerField()

    class Meta:
        table_name = "device_marks"
        primary_key = CompositeKey("device", "conversation")


class Attachment(Model):
    """A file: `state` is `uploading`, then `ready`, at last `removed`."""

    pk = BigAutoField()
    id = TextField(unique=True)
    tenant = TextField()
    owner_key = TextField()
    state = TextField()
    size = BigIntegerField()
    #: The bytes that are safe in the storage.
    received = BigIntegerField()
    name = TextField()
    content_type = TextField()
    #: Whether a browser may show it in a page.
    safe = BooleanField()
    #: The `Upload-Metadata` of its client.
    metadata = TextField(null=True)
    #: Hexadecimal; of a file that is ready.
    sha256 = TextField(null=True)
    #: What the storage must remember of it.
    place = TextField()
    #: Who writes to it, and until when nobody else may.
    lease = TextField(null=True)
    lease_until = BigIntegerField()
    created_at = BigIntegerField()
    #: When it goes; never, while a message carries it.
    expires_at = BigIntegerField(null=True)

    class Meta:
        table_name = "attachments"
        indexes = (
            (("owner_key", "state", "size"), False),
            (("state", "expires_at"), False),
        )


class AttachmentLink(Model):
    """A message that carries a file."""

    message = ForeignKeyField(Message, column_name="message", index=False)
    attachment = ForeignKeyField(Attachment, column_name="attachment")

    class Meta:
        table_name = "attachment_links"
        primary_key = CompositeKey("message", "attachment")
