"""The tables of the search index, of tags and of templates.

On PostgreSQL `search_index` also has the words, an array with a GIN index; on SQLite they are in
`search_words`, a full-text table with the same row numbers.
"""

from peewee import (
    AutoField,
    BigIntegerField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

from db.models import Conversation, Message


class SearchState(Model):
    """One row: all messages up to the primary key `position` were indexed. `version` counts the
    writes to the index, so that of two writers at once one fails."""

    id = IntegerField(primary_key=True)
    position = BigIntegerField()
    version = BigIntegerField()

    class Meta:
        table_name = "search_state"


class SearchIndex(Model):
    """A message that can be found, by the primary key of its conversation, 0 for an inbox."""

    message = BigIntegerField(primary_key=True)
    place = BigIntegerField()
    created_at = BigIntegerField()

    class Meta:
        table_name = "search_index"
        indexes = ((("place", "message"), False),)


class SearchQueue(Model):
    """A message whose text has changed since it was indexed; a trigger puts it here."""

    pk = AutoField()
    message = BigIntegerField()

    class Meta:
        table_name = "search_queue"


class MessageTag(Model):
    """A user's own word on a message; nobody else sees it."""

    owner_key = TextField()
    tag = TextField()
    message = ForeignKeyField(Message, column_name="message", index=False)
    tagged_at = BigIntegerField()

    class Meta:
        table_name = "message_tags"
        primary_key = CompositeKey("owner_key", "tag", "message")
        indexes = ((("owner_key", "message"), False),)


class ConversationTag(Model):
    """The same on a conversation."""

    owner_key = TextField()
    tag = TextField()
    conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)
    tagged_at = BigIntegerField()

    class Meta:
        table_name = "conversation_tags"
        primary_key = CompositeKey("owner_key", "tag", "conversation")
        indexes = ((("owner_key", "conversation"), False),)


class ConversationCategory(Model):
    """Where a user has put a conversation: at most one place."""

    owner_key = TextField()
    conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)
    category = TextField()

    class Meta:
        table_name = "conversation_categories"
        primary_key = CompositeKey("owner_key", "conversation")
        indexes = ((("owner_key", "category", "conversation"), False),)


class Template(Model):
    """A text with placeholders, in one or several languages: `texts` is a JSON object."""

    #: The tenant and the name.
    key = TextField(primary_key=True)
    texts = TextField()
    default_language = TextField()
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "templates"
