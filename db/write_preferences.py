"""Changing preferences, all of a batch together."""

from typing import Any

from msgspec import UNSET

from anmei.commands import Outcome, Told
from anmei.commands_preferences import SetPreference
from anmei.errors import AnmeiError, ErrorCode, not_found
from db import shapes
from db.batch import Batch
from db.link import Row, fetch, fetch_many, insert_many

#: Numbers are reserved before anything is read: whoever changes the same user's preferences on
#: another node waits here, and what he reads after that is what we have written.
_RESERVE = (
    "INSERT INTO preference_seqs (user_key, seq) VALUES {values}"
    " ON CONFLICT (user_key) DO UPDATE SET seq = preference_seqs.seq + excluded.seq"
)
_STORED = (
    "WITH w (user_key, conversation) AS (VALUES {values})"
    " SELECT f.user_key, f.conversation, f.seq, f.muted_until, f.pinned_at, f.draft, f.draft_at"
    " FROM w CROSS JOIN preferences AS f"
    " WHERE f.user_key = w.user_key AND f.conversation = w.conversation"
)
_WRITE = (
    "INSERT INTO preferences"
    " (user_key, conversation, seq, muted_until, pinned_at, draft, draft_at) VALUES {values}"
    " ON CONFLICT (user_key, conversation) DO UPDATE SET seq = excluded.seq,"
    " muted_until = excluded.muted_until, pinned_at = excluded.pinned_at,"
    " draft = excluded.draft, draft_at = excluded.draft_at"
)

_Key = tuple[str, int]


class _Preference:
    """What one user has set for one conversation, before and while the commands change it."""

    def __init__(self, seq: int, *values: Any) -> None:
        self.seq = seq
        self.muted_until, self.pinned_at, self.draft, self.draft_at = values
        self.before = values

    @property
    def values(self) -> Row:
        return self.muted_until, self.pinned_at, self.draft, self.draft_at

    def apply(self, command: SetPreference) -> None:
        if command.muted_until is not UNSET:
            self.muted_until = command.muted_until
        if command.pinned is not UNSET:
            self.pinned_at = (self.pinned_at or command.at) if command.pinned else None
        if command.draft is not UNSET and command.written_at >= (self.draft_at or 0):
            # When it was given up is kept: an older one must not come back.
            self.draft, self.draft_at = command.draft or None, command.written_at


def change(batch: Batch, commands: list[SetPreference]) -> list[Outcome]:
    """Execute the commands in order; their conversations are locked.

    Of several that change the same row, the last one tells the user's devices.
    """
    keys = _keys(batch, commands)
    rows = list(dict.fromkeys(key for key in keys if key is not None))
    seqs = _reserve(batch, rows)
    stored = {key: _Preference(0, None, None, None, None) for key in rows}
    for user_key, conversation, *values in fetch_many(batch.database, _STORED, rows):
        stored[user_key, conversation] = _Preference(*values)
    errors: list[AnmeiError | None] = []
    last: dict[_Key, int] = {}
    for number, (command, key) in enumerate(zip(commands, keys, strict=True)):
        if key is None:
            errors.append(not_found("conversation"))
        else:
            errors.append(_one(batch, command, stored[key], stored))
            last[key] = number
    changed = {key: stored[key] for key in rows if stored[key].values != stored[key].before}
    for (user_key, _), preference in changed.items():
        seqs[user_key] += 1
        preference.seq = seqs[user_key]
    insert_many(
        batch.database, _WRITE, [(*key, one.seq, *one.values) for key, one in changed.items()]
    )
    outcomes = []
    for number, (command, key, error) in enumerate(zip(commands, keys, errors, strict=True)):
        if key is None:
            outcomes.append(Outcome(error=error))
            continue
        shown = shapes.preference(command.conversation_key, stored[key].seq, stored[key].values)
        told = Told(command.conversation_key, key[0], "preference_update", {"preferences": [shown]})
        outcomes.append(
            Outcome(
                reply={"preference": shown} if error is None else None,
                error=error,
                told=(told,) if (key in changed or batch.again) and last[key] == number else (),
            )
        )
    return outcomes


def _keys(batch: Batch, commands: list[SetPreference]) -> list[_Key | None]:
    """The rows that the commands change, None for those of people who are not in."""
    places = [batch.place(command.conversation_key) for command in commands]
    pairs = list(zip(places, commands, strict=True))
    inside = batch.insiders([(place, one.user_key) for place, one in pairs if place is not None])
    return [
        (one.user_key, place.pk)
        if place is not None and (place.pk, one.user_key) in inside
        else None
        for place, one in pairs
    ]


def _one(
    batch: Batch, command: SetPreference, preference: _Preference, stored: dict[_Key, _Preference]
) -> AnmeiError | None:
    """Apply one command, or say why not."""
    if command.pinned is True and preference.pinned_at is None:
        pinned = _pinned(batch, command.user_key, stored)
        if pinned >= command.most_pinned:
            return AnmeiError(
                ErrorCode.TOO_LARGE,
                f"{pinned} conversations are pinned; at most {command.most_pinned} may be",
            )
    preference.apply(command)
    return None


def _reserve(batch: Batch, rows: list[_Key]) -> dict[str, int]:
    """Room for a number for each row; by user, the last number that was given before."""
    counts: dict[str, int] = {}
    for user_key, _ in rows:
        counts[user_key] = counts.get(user_key, 0) + 1
    insert_many(batch.database, _RESERVE, sorted(counts.items()))
    found = fetch_many(
        batch.database,
        "SELECT user_key, seq FROM preference_seqs WHERE user_key IN ({values})",
        list(counts),
    )
    return {user_key: seq - counts[user_key] for user_key, seq in found}


def _pinned(batch: Batch, user_key: str, stored: dict[_Key, _Preference]) -> int:
    """How many conversations the user has pinned, as far as the transaction has come; those that
    he is in no longer do not count, since he cannot take them down."""
    ((count,),) = fetch(
        batch.database,
        "SELECT count(*) FROM preferences AS f CROSS JOIN participants AS p"
        " WHERE f.user_key = %s AND f.pinned_at IS NOT NULL AND p.conversation = f.conversation"
        " AND p.user_key = f.user_key AND p.active = TRUE",
        (user_key,),
    )
    for (other, _), preference in stored.items():
        if other == user_key:
            count += (preference.pinned_at is not None) - (preference.before[1] is not None)
    return int(count)
