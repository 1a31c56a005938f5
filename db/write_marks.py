"""Moving receipt marks, all of a batch together."""

from typing import Any

from anmei.commands import Mark, MoveMarks, Outcome
from anmei.errors import not_found
from anmei.ids import id_of
from db.batch import Batch, Place
from db.link import Row, fetch_many, insert_many, update_many
from db.query_unread import COUNTS

#: A mark that moves further than this tells only the senders of the last messages it covers.
MAX_COVERED = 1_000
#: How many moves of each participant are kept with their times, and in conversations of how many.
KEPT_MOVES = 64
MOST_TIMED = 200

_MOVES = (
    "INSERT INTO mark_moves (conversation, user_key, slot, delivered_from, delivered_seq,"
    " read_from, read_seq, at) VALUES {values} ON CONFLICT (conversation, user_key, slot)"
    " DO UPDATE SET delivered_from = excluded.delivered_from,"
    " delivered_seq = excluded.delivered_seq, read_from = excluded.read_from,"
    " read_seq = excluded.read_seq, at = excluded.at"
)


class _Person:
    """One participant's marks, before and while the commands move them."""

    def __init__(self, place: Place, user_key: str, delivered: int, read: int, moves: int) -> None:
        self.place = place
        self.user_key = user_key
        self.old_delivered = self.delivered = delivered
        self.old_read = self.read = read
        #: How many moves were written down, and when this one was made.
        self.moves = moves
        self.at = 0
        #: None until it is asked for: only reading changes it.
        self.unread: int | None = None
        self.senders: set[str] = set()

    def move(self, seq: int, read: bool) -> bool:
        """Move up to `seq`, and say whether that changed anything."""
        before = (self.delivered, self.read)
        if read:
            self.read = max(self.read, seq)
        self.delivered = max(self.delivered, seq, self.read)
        return before != (self.delivered, self.read)

    @property
    def moved(self) -> bool:
        return (self.delivered, self.read) != (self.old_delivered, self.old_read)

    def covered(self) -> tuple[int, int]:
        """The numbers that the moves went over: above the first, up to the second; where there was
        none, all that may have been gone over before."""
        if not self.moved:
            return max(0, self.delivered - MAX_COVERED), self.delivered
        low = self.old_read if self.read > self.old_read else self.old_delivered
        high = self.delivered if self.delivered > self.old_delivered else self.read
        return max(low, high - MAX_COVERED), high


_Key = tuple[int, str]


def move(batch: Batch, commands: list[MoveMarks]) -> list[Outcome]:
    """Execute the commands in order; their conversations are locked.

    Of several that move one participant's marks the last one that did carries the `Mark`, which
    covers them all.
    """
    people = _people(batch, commands)
    seqs = _seqs(batch, commands)
    last_moves: dict[_Key, int] = {}
    devices: dict[tuple[int, str, str], int] = {}
    found: list[_Person | None] = []
    for number, command in enumerate(commands):
        place = batch.place(command.conversation_key)
        person = None if place is None else people.get((place.pk, command.user_key))
        found.append(person)
        if place is None or person is None:
            continue
        if command.read:
            person.unread = 0
        wanted = [seqs.get((place.pk, id), 0) for id in command.message_ids]
        asked = max(command.seq or 0, *wanted, 0)
        seq = min(place.last_seq, asked)
        if person.move(seq, command.read) or batch.again:
            person.at = command.at
            last_moves[place.pk, command.user_key] = number
        if command.device_id is not None and seq > 0:
            device = (place.pk, command.user_key, command.device_id)
            # A device that has received a change of a message holds more than messages.
            held = seq if command.read else min(place.change_seq, asked)
            devices[device] = max(held, devices.get(device, 0))
    _write(batch, [person for person in people.values() if person.moved])
    _write_devices(batch, devices)
    _count_unread(batch, list(people.values()))
    _find_senders(batch, [one for one in people.values() if one.moved or batch.again])
    outcomes = []
    for number, (command, person) in enumerate(zip(commands, found, strict=True)):
        if person is None:
            outcomes.append(Outcome(error=not_found("conversation")))
            continue
        last = last_moves.get((person.place.pk, person.user_key)) == number
        reply: dict[str, Any] = {
            "conversation_id": id_of(command.conversation_key),
            "seq": person.read if command.read else person.delivered,
        }
        if command.read:
            reply |= {
                "unread": person.unread,
                "last_seq": person.place.last_seq,
                "counted_to": person.place.change_seq,
            }
        outcomes.append(Outcome(reply=reply, mark=_mark(person) if last else None))
    return outcomes


def _people(batch: Batch, commands: list[MoveMarks]) -> dict[_Key, _Person]:
    """The participants that the commands speak of, as far as they are in."""
    keys: dict[_Key, Place] = {}
    for command in commands:
        place = batch.place(command.conversation_key)
        if place is not None:
            keys[place.pk, command.user_key] = place
    rows = fetch_many(
        batch.database,
        "WITH w (conversation, user_key) AS (VALUES {values})"
        " SELECT w.conversation, w.user_key, p.last_delivered_seq, p.last_read_seq,"
        " p.moves FROM w CROSS JOIN participants AS p WHERE p.conversation = w.conversation"
        " AND p.user_key = w.user_key AND p.active = TRUE",
        list(keys),
    )
    return {
        (pk, user_key): _Person(keys[pk, user_key], user_key, *marks)
        for pk, user_key, *marks in rows
    }


def _seqs(batch: Batch, commands: list[MoveMarks]) -> dict[tuple[int, str], int]:
    """The numbers of the messages that are named by their ids."""
    ids = sorted({id for command in commands for id in command.message_ids})
    rows = fetch_many(
        batch.database,
        "SELECT conversation, id, seq FROM messages"
        " WHERE id IN ({values}) AND conversation IS NOT NULL",
        ids,
    )
    return {(pk, id): seq for pk, id, seq in rows}


def _write(batch: Batch, moved: list[_Person]) -> None:
    """Write the marks, and in conversations that are small enough also when they moved."""
    timed = [p for p in moved if p.place.participant_count <= MOST_TIMED]
    insert_many(
        batch.database,
        _MOVES,
        [
            (
                *(p.place.pk, p.user_key, p.moves % KEPT_MOVES),
                *(p.old_delivered, p.delivered, p.old_read, p.read, p.at),
            )
            for p in timed
        ],
    )
    for person in timed:
        person.moves += 1
    update_many(
        batch.database,
        "participants",
        ("conversation", "user_key"),
        ("last_delivered_seq", "last_read_seq", "moves"),
        [(p.delivered, p.read, p.moves, p.place.pk, p.user_key) for p in moved],
    )


def _write_devices(batch: Batch, devices: dict[tuple[int, str, str], int]) -> None:
    """Move the devices' own places; a device that never connected has none."""
    pks = {
        (user_key, device_id): pk
        for pk, user_key, device_id in fetch_many(
            batch.database,
            "WITH w (user_key, device_id) AS (VALUES {values})"
            " SELECT d.pk, w.user_key, w.device_id FROM w CROSS JOIN devices AS d"
            " WHERE d.user_key = w.user_key AND d.device_id = w.device_id",
            sorted({(user_key, device_id) for _, user_key, device_id in devices}),
        )
    }
    rows: list[Row] = [
        (pks[user_key, device_id], conversation, seq)
        for (conversation, user_key, device_id), seq in devices.items()
        if (user_key, device_id) in pks
    ]
    insert_many(
        batch.database,
        "INSERT INTO device_marks (device, conversation, seq) VALUES {values}"
        " ON CONFLICT (device, conversation) DO UPDATE SET seq = excluded.seq"
        " WHERE excluded.seq > device_marks.seq",
        rows,
    )


def _count_unread(batch: Batch, people: list[_Person]) -> None:
    # Counted, not subtracted: edits take numbers from the same counter as messages.
    behind = [
        person
        for person in people
        if person.unread is not None and person.read < person.place.last_seq
    ]
    rows = fetch_many(
        batch.database,
        "WITH w (number, conversation, user_key, seq) AS (VALUES {values})"
        " SELECT number, (SELECT count(*) FROM messages AS m WHERE m.conversation = w.conversation"
        f" AND m.seq > w.seq AND {COUNTS.format(user_key='w.user_key')}) FROM w",
        [(n, p.place.pk, p.user_key, p.read) for n, p in enumerate(behind)],
    )
    for number, count in rows:
        behind[number].unread = count


def _find_senders(batch: Batch, moved: list[_Person]) -> None:
    rows = fetch_many(
        batch.database,
        "WITH w (number, conversation, user_key, low, high) AS (VALUES {values})"
        " SELECT DISTINCT w.number, m.sender_key FROM w CROSS JOIN messages AS m"
        " WHERE m.conversation = w.conversation AND m.seq > w.low AND m.seq <= w.high"
        " AND m.sender_key <> w.user_key",
        [(n, p.place.pk, p.user_key, *p.covered()) for n, p in enumerate(moved)],
    )
    for number, sender in rows:
        moved[number].senders.add(sender)


def _mark(person: _Person) -> Mark:
    return Mark(
        conversation_key=person.place.key,
        user_key=person.user_key,
        last_delivered_seq=person.delivered,
        last_read_seq=person.read,
        last_seq=person.place.last_seq,
        change_seq=person.place.change_seq,
        unread=person.unread,
        senders=frozenset(person.senders),
    )
