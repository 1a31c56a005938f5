"""What the commands of one transaction share: the conversations they touch, locked."""

from collections.abc import Iterable

import msgspec
import ujson
from peewee import Database

from anmei.bodies import attachment_ids
from anmei.commands import Audience
from db.audiences import Audiences
from db.inboxes import Inboxes
from db.link import Row, execute, fetch_many, is_postgres, update_many

#: The number of the PostgreSQL advisory lock under which conversations, inboxes and users are made.
_CREATING = 0x616E6D6570
#: The first half of the numbers of the locks under which a user's uploads are begun.
_OWNING = 0x616E6D71

#: The number of the one under which revocations get their numbers, so that commit order is number
#: order.
_REVOKING = 0x616E6D6572

_COLUMNS = (
    "pk, key, tenant, kind, title, owner_key, created_at, updated_at, last_seq, change_seq,"
    " meta_seq, members_version, participant_count"
)


class Place(msgspec.Struct):
    """One conversation's row, locked, as the transaction has changed it so far."""

    pk: int
    key: str
    tenant: str
    kind: str
    title: str | None
    owner_key: str
    created_at: int
    updated_at: int
    last_seq: int
    change_seq: int
    meta_seq: int
    members_version: int
    participant_count: int
    audience: Audience | None = None

    def take_number(self) -> int:
        self.change_seq += 1
        return self.change_seq


class Batch:
    """One transaction at work.

    Locks are taken in one order by every process, so that none waits for another in a circle:
    first the one for revocations, then those under which things are made, then the conversations
    by primary key, then the inboxes by their users' keys, then the files. Whatever belongs to a
    conversation (its counters, participants and messages) is written only under the lock of its
    row, and so are the copies of an inbox. SQLite has one writer at a time anyway.
    """

    def __init__(self, database: Database, audiences: Audiences, again: bool = False) -> None:
        self.database = database
        #: Whether all of it may have been committed already, and nobody told: then what is so
        #: already is handed out too.
        self.again = again
        self.audiences = audiences
        self.postgres = is_postgres(database)
        self.inboxes = Inboxes(database)
        self._places: dict[str, Place] = {}
        self._changed: dict[int, Place] = {}
        #: Conversation keys by the pairs of direct ones and by idempotency keys, of those found
        #: and made. A pair begins with `direct `, which no user key does.
        self.twins: dict[str, str] = {}
        #: By message id: its conversation's key, and the files that it carries.
        self._homes: dict[str, tuple[str, tuple[str, ...]]] = {}

    def lock_revoking(self) -> None:
        if self.postgres:
            execute(self.database, "SELECT pg_advisory_xact_lock(%s)", (_REVOKING,))

    def lock_creation(self) -> None:
        if self.postgres:
            execute(self.database, "SELECT pg_advisory_xact_lock(%s)", (_CREATING,))

    def lock_owners(self, keys: set[str]) -> None:
        """Have these users' uploads begun by one process at a time, since they are counted."""
        if self.postgres:
            for key in sorted(keys):
                execute(
                    self.database,
                    "SELECT pg_advisory_xact_lock(%s, hashtext(%s))",
                    (_OWNING, key),
                )

    def lock_files(self, ids: set[str]) -> None:
        """Lock those of the files that exist."""
        if self.postgres and ids:
            fetch_many(
                self.database,
                "SELECT pk FROM attachments WHERE id IN ({values}) ORDER BY pk FOR UPDATE",
                sorted(ids),
            )

    def find_twins(self, pairs: list[str], once: list[str]) -> set[str]:
        """The keys of the conversations that have one of these pairs or idempotency keys; once
        given they never change."""
        self.twins = dict(
            fetch_many(
                self.database,
                "SELECT dedup_key, key FROM conversations WHERE dedup_key IN ({values})",
                pairs,
            )
            + fetch_many(
                self.database,
                "SELECT k.key, c.key FROM idempotency_keys AS k"
                " JOIN conversations AS c ON c.pk = k.conversation WHERE k.key IN ({values})",
                once,
            )
        )
        return set(self.twins.values())

    def twin(self, name: str | None) -> Place | None:
        """The conversation that has this pair or idempotency key, None where none has."""
        key = None if name is None else self.twins.get(name)
        return None if key is None else self.place(key)

    def find_homes(self, message_ids: list[str]) -> None:
        """Look up where these messages are and what they carry; neither ever changes, but that a
        recalled one carries nothing."""
        rows = fetch_many(
            self.database,
            "SELECT m.id, c.key, m.message_type, m.body FROM messages AS m"
            " JOIN conversations AS c ON c.pk = m.conversation WHERE m.id IN ({values})",
            sorted(set(message_ids)),
        )
        for id, key, kind, body in rows:
            files = () if body is None else attachment_ids(kind, ujson.loads(body))
            self._homes[id] = key, files

    def home(self, message_id: str) -> str | None:
        """The key of the conversation of a message that was named to `find_homes`; None for one
        that is not there, or in no conversation."""
        return self._homes[message_id][0] if message_id in self._homes else None

    def files(self, message_id: str) -> tuple[str, ...]:
        """The ids of the files of such a message."""
        return self._homes[message_id][1] if message_id in self._homes else ()

    def lock(self, keys: set[str]) -> None:
        """Lock those of the conversations that exist, and read them."""
        missing = sorted(keys - self._places.keys())
        sql = f"SELECT {_COLUMNS} FROM conversations WHERE key IN ({{values}}) ORDER BY pk"
        if self.postgres:
            # Not FOR UPDATE: nobody changes the key, and references to the row need not wait.
            sql += " FOR NO KEY UPDATE"
        for row in fetch_many(self.database, sql, missing):
            self.add(Place(*row))

    def add(self, place: Place) -> None:
        self._places[place.key] = place

    def place(self, key: str) -> Place | None:
        """The conversation, None where there is none. It must have been named to `lock`."""
        return self._places.get(key)

    def places(self) -> Iterable[Place]:
        return self._places.values()

    def changed(self, place: Place) -> None:
        """Have the counters of the conversation written at the end."""
        self._changed[place.pk] = place

    def insiders(self, people: Iterable[tuple[Place, str]]) -> set[tuple[int, str]]:
        """Those of the people who are in, as `(primary key, user key)`.

        It costs the same however large the conversations are: whoever asks may be a stranger,
        whom the time of his refusal must not tell that there is one, and how large it is.
        """
        found: set[tuple[int, str]] = set()
        unknown: dict[tuple[int, str], None] = {}
        for place, user_key in people:
            audience = place.audience or self.audiences.get(place.pk, place.members_version)
            if audience is None:
                unknown[place.pk, user_key] = None
            elif user_key in audience.members:
                found.add((place.pk, user_key))
        rows = fetch_many(
            self.database,
            "WITH w (conversation, user_key) AS (VALUES {values})"
            " SELECT w.conversation, w.user_key FROM w CROSS JOIN participants AS p"
            " WHERE p.conversation = w.conversation AND p.user_key = w.user_key"
            " AND p.active = TRUE",
            list(unknown),
        )
        return found | {(pk, user_key) for pk, user_key in rows}

    def load_audiences(self, places: dict[int, Place]) -> None:
        """Give an audience to those (by primary key) that have none yet."""
        unknown: dict[int, set[str]] = {}
        for pk, place in places.items():
            if place.audience is None:
                place.audience = self.audiences.get(pk, place.members_version)
                if place.audience is None:
                    unknown[pk] = set()
        if not unknown:
            return
        rows: list[Row] = fetch_many(
            self.database,
            "SELECT conversation, user_key FROM participants"
            " WHERE conversation IN ({values}) AND active = TRUE",
            list(unknown),
        )
        for pk, user_key in rows:
            unknown[pk].add(user_key)
        for pk, members in unknown.items():
            self.set_audience(places[pk], frozenset(members))

    def audience(self, place: Place) -> Audience:
        """The conversation's audience as the transaction has it now."""
        if place.audience is None:
            self.load_audiences({place.pk: place})
        assert place.audience is not None
        return place.audience

    def set_audience(self, place: Place, members: frozenset[str]) -> None:
        place.audience = Audience(version=place.members_version, members=members)
        self.audiences.put(place.pk, place.audience)

    def flush(self) -> None:
        """Write the counters."""
        self.inboxes.flush()
        update_many(
            self.database,
            "conversations",
            ("pk",),
            (
                "updated_at",
                "last_seq",
                "change_seq",
                "meta_seq",
                "members_version",
                "participant_count",
            ),
            [
                (
                    place.updated_at,
                    place.last_seq,
                    place.change_seq,
                    place.meta_seq,
                    place.members_version,
                    place.participant_count,
                    place.pk,
                )
                for place in self._changed.values()
            ],
        )
        self._changed.clear()
