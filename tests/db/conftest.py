"""Stores on real databases: a test that takes `store` runs on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator

import pytest

from db.migrate import migrate
from db.models import (
    Attachment,
    AttachmentLink,
    Audit,
    Conversation,
    Device,
    DeviceMark,
    IdempotencyKey,
    Inbox,
    MarkMove,
    Message,
    MessageRecipient,
    Participant,
    Preference,
    PreferenceSeq,
    Reaction,
    Revocation,
    User,
)
from db.models_search import (
    ConversationCategory,
    ConversationTag,
    MessageTag,
    SearchIndex,
    SearchQueue,
    SearchState,
    Template,
)
from db.store import Store
from tests.support.servers import Postgres, database_of

TABLES = [
    model._meta.table_name
    for model in (
        Attachment,
        AttachmentLink,
        User,
        Conversation,
        IdempotencyKey,
        Participant,
        Message,
        Inbox,
        MessageRecipient,
        Device,
        DeviceMark,
        MarkMove,
        Preference,
        PreferenceSeq,
        Reaction,
        Audit,
        Revocation,
        SearchState,
        SearchIndex,
        SearchQueue,
        MessageTag,
        ConversationTag,
        ConversationCategory,
        Template,
    )
]


@pytest.fixture(scope="session")
def _tables(postgres: Postgres) -> str:
    url = postgres.create_database()
    migrate(url)
    return url


@pytest.fixture
def tables_url(postgres: Postgres, _tables: str) -> str:
    """A PostgreSQL database with empty tables: emptying them is quicker than a new database."""
    postgres.execute(f"TRUNCATE {', '.join(TABLES)}", database=database_of(_tables))
    return _tables


@pytest.fixture(params=["sqlite", "tables"])
def url(request: pytest.FixtureRequest) -> str:
    """A database of each kind, without a row in it."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def open_store() -> Iterator[Callable[..., Store]]:
    """Opens stores, and closes them behind the test."""
    opened = []

    def open_one(url: str, *, readers: int = 2, timeout_ms: int = 30_000) -> Store:
        store = Store(url, readers=readers, timeout_ms=timeout_ms)
        opened.append(store)
        store.open()
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(url: str, open_store: Callable[..., Store]) -> Store:
    return open_store(url)
