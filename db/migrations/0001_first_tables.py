"""The first tables: users, conversations, messages, inboxes and devices."""

from typing import Any

from peewee import (
    SQL,
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    Database,
    ForeignKeyField,
    IntegerField,
    Model,
    Node,
    PostgresqlDatabase,
    TextField,
)
from playhouse.migrate import SchemaMigrator


def up(migrator: SchemaMigrator, database: Database) -> None:
    # Keys hold ASCII alone; in this collation both databases order them the same way, and
    # PostgreSQL compares them several times faster than by a locale's rules.
    binary: list[Node] = [SQL('COLLATE "C"')] if isinstance(database, PostgresqlDatabase) else []

    def key_field(**options: Any) -> TextField:
        return TextField(constraints=binary, **options)

    class User(Model):
        key = key_field(primary_key=True)
        tenant = key_field()
        name = TextField()
        status = TextField()
        created_at = BigIntegerField()
        last_seen_at = BigIntegerField(null=True)

        class Meta:
            table_name = "users"

    class Conversation(Model):
        pk = BigAutoField()
        key = key_field(unique=True)
        tenant = key_field()
        kind = TextField()
        title = TextField(null=True)
        owner_key = key_field()
        created_at = BigIntegerField()
        updated_at = BigIntegerField()
        last_seq = BigIntegerField()
        change_seq = BigIntegerField()
        meta_seq = BigIntegerField()
        members_version = BigIntegerField()
        participant_count = IntegerField()
        dedup_key = key_field(null=True, unique=True)

        class Meta:
            table_name = "conversations"

    class Participant(Model):
        conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)
        user_key = key_field()
        role = key_field()
        active = BooleanField()
        joined_at = BigIntegerField()
        left_at = BigIntegerField(null=True)
        last_delivered_seq = BigIntegerField()
        last_read_seq = BigIntegerField()

        class Meta:
            table_name = "participants"
            primary_key = CompositeKey("conversation", "user_key")
            indexes = ((("user_key", "active"), False),)

    # The order in which people are listed: the owner first, then as they came.
    Participant.add_index(
        SQL(
            "CREATE INDEX participants_listed ON participants"
            " (conversation, active, role DESC, joined_at, user_key)"
        )
    )

    class Message(Model):
        pk = BigAutoField()
        id = key_field(unique=True)
        conversation = ForeignKeyField(
            Conversation, column_name="conversation", null=True, index=False
        )
        seq = BigIntegerField()
        change_seq = BigIntegerField()
        sender_key = key_field()
        sender_id = key_field()
        sender_name = TextField()
        sender_type = TextField()
        message_type = TextField()
        content = TextField()
        is_important = BooleanField()
        priority = TextField()
        reply_to = key_field(null=True)
        extra_metadata = TextField(null=True)
        client_msg_id = key_field()
        created_at = BigIntegerField()
        edited_at = BigIntegerField(null=True)
        recalled_at = BigIntegerField(null=True)

        class Meta:
            table_name = "messages"
            indexes = (
                (("conversation", "seq"), True),
                (("conversation", "change_seq"), False),
                (("conversation", "sender_key", "client_msg_id"), True),
            )

    class MessageRecipient(Model):
        message = ForeignKeyField(Message, column_name="message", index=False)
        recipient_key = key_field()
        seq = BigIntegerField()
        is_read = BooleanField()
        read_at = BigIntegerField(null=True)
        delivered_at = BigIntegerField(null=True)
        created_at = BigIntegerField()

        class Meta:
            table_name = "message_recipients"
            primary_key = CompositeKey("message", "recipient_key")
            indexes = (
                (("recipient_key", "seq"), True),
                (("recipient_key", "is_read"), False),
            )

    class Device(Model):
        pk = BigAutoField()
        user_key = key_field()
        device_id = key_field()
        device_type = TextField()
        created_at = BigIntegerField()
        last_seen_at = BigIntegerField()

        class Meta:
            table_name = "devices"
            indexes = ((("user_key", "device_id"), True),)

    class DeviceMark(Model):
        device = ForeignKeyField(Device, column_name="device", index=False)
        conversation = ForeignKeyField(Conversation, column_name="conversation", index=False)
        seq = BigIntegerField()

        class Meta:
            table_name = "device_marks"
            primary_key = CompositeKey("device", "conversation")

    tables = [User, Conversation, Participant, Message, MessageRecipient, Device, DeviceMark]
    database.bind(tables)
    database.create_tables(tables, safe=False)


def down(migrator: SchemaMigrator, database: Database) -> None:
    for table in (
        "device_marks",
        "devices",
        "message_recipients",
        "messages",
        "participants",
        "conversations",
        "users",
    ):
        migrator.database.execute_sql(f"DROP TABLE {table}")
