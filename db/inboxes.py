"""The inboxes that the commands of one transaction touch, locked."""

from collections.abc import Iterable

import msgspec
from peewee import Database

from db.link import fetch_many, insert_pages, is_postgres, update_many

_COLUMNS = "user_key, change_seq, unread, delivered_seq, read_seq, read_at, meta_seq"


class Inbox(msgspec.Struct):
    """One inbox's row, locked, as the transaction has changed it so far."""

    user_key: str
    change_seq: int = 0
    unread: int = 0
    delivered_seq: int = 0
    read_seq: int = 0
    #: When it was read that far; 0 before that.
    read_at: int = 0
    meta_seq: int = 0

    def take_number(self) -> int:
        self.change_seq += 1
        return self.change_seq


class Inboxes:
    """They are made under the lock under which everything is made, and locked by their users'
    keys in order, behind the conversations: so no two processes wait for each other in a circle."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[str, Inbox] = {}
        self._changed: dict[str, Inbox] = {}

    def missing(self, user_keys: Iterable[str]) -> list[str]:
        """Those of the users who have none yet."""
        wanted = sorted(set(user_keys))
        rows = fetch_many(
            self._database, "SELECT user_key FROM inboxes WHERE user_key IN ({values})", wanted
        )
        known = {user_key for (user_key,) in rows}
        return [user_key for user_key in wanted if user_key not in known]

    def make(self, user_keys: list[str]) -> None:
        """Inboxes for those of the users who still have none, under the lock for that."""
        insert_pages(
            self._database,
            f"INSERT INTO inboxes ({_COLUMNS}) VALUES {{values}} ON CONFLICT (user_key) DO NOTHING",
            [(user_key, 0, 0, 0, 0, 0, 0) for user_key in user_keys],
        )

    def lock(self, user_keys: Iterable[str]) -> None:
        """Lock those that exist, and read them."""
        wanted = sorted(set(user_keys) - self._found.keys())
        sql = f"SELECT {_COLUMNS} FROM inboxes WHERE user_key IN ({{values}}) ORDER BY user_key"
        if is_postgres(self._database):
            sql += " FOR NO KEY UPDATE"
        for row in fetch_many(self._database, sql, wanted):
            self._found[row[0]] = Inbox(*row)

    def get(self, user_key: str) -> Inbox:
        """A user's inbox; an empty one that is kept nowhere where there is none."""
        return self._found.get(user_key) or Inbox(user_key)

    def changed(self, inbox: Inbox) -> None:
        """Have its row written at the end."""
        self._changed[inbox.user_key] = inbox

    def flush(self) -> None:
        update_many(
            self._database,
            "inboxes",
            ("user_key",),
            ("change_seq", "unread", "delivered_seq", "read_seq", "read_at", "meta_seq"),
            [
                (
                    inbox.change_seq,
                    inbox.unread,
                    inbox.delivered_seq,
                    inbox.read_seq,
                    inbox.read_at,
                    inbox.meta_seq,
                    inbox.user_key,
                )
                for inbox in self._changed.values()
            ],
        )
        self._changed.clear()
