"""Conversations and who is in them."""

from collections.abc import Iterable
from typing import Any

from anmei.commands import (
    KINDS,
    AddParticipants,
    Change,
    CreateConversation,
    Outcome,
    RemoveParticipant,
)
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import tenant_of
from db import shapes
from db.batch import Batch, Place
from db.link import fetch, fetch_many
from db.models import Conversation, IdempotencyKey, Participant
from db.query_people import shown_participants
from db.write_people import make_users

MOST_JOINED = 500  # people who are named as let in by the event that lets them in


def create(batch: Batch, command: CreateConversation) -> Outcome:
    """Make the conversation, or find the one that the command means."""
    members = _new_members(command)
    _check_new(command, members)
    place = batch.twin(once(command))
    if place is not None:
        return _found(batch, place, command)
    place = batch.twin(pair(command))
    if place is None:
        place = batch.place(command.key)
        if place is None:
            return _make(batch, command, members)
        if not _is_same_attempt(place, command):
            raise AnmeiError(
                ErrorCode.CONFLICT, "this conversation id is taken; choose another, or none"
            )
    _remember(batch, place, once(command))
    return _found(batch, place, command)


def pair(command: CreateConversation) -> str | None:
    """The two people of a direct conversation, who have only one; ids hold no space."""
    members = _new_members(command) if command.kind == "direct" else ()
    return "direct " + " ".join(sorted(members)) if len(members) == 2 else None


def once(command: CreateConversation) -> str | None:
    """The owner and the idempotency key, which are for one conversation of whatever kind."""
    if command.idempotency_key is None:
        return None
    return f"{command.owner_key} {command.idempotency_key}"


def add(batch: Batch, command: AddParticipants) -> Outcome:
    place = batch.place(command.conversation_key)
    if place is None or not _may_see(batch, place, command.by_key, command.privileged):
        return Outcome(error=not_found("conversation"))
    if place.kind == "direct":
        raise AnmeiError(ErrorCode.BAD_REQUEST, "a direct conversation has exactly two people")
    if not command.privileged and command.by_key != place.owner_key:
        raise AnmeiError(ErrorCode.FORBIDDEN, "only the owner adds participants")
    members = batch.audience(place).members
    wanted = tuple(dict.fromkeys(command.user_keys))
    absent = [user_key for user_key in wanted if user_key not in members]
    if absent:
        _check_size(len(members) + len(absent), command.most)
    # The first attempt was committed and its answer lost: those it let in may have left since.
    repeated = _let_in_at(batch, place, wanted, command.at)
    new = [user_key for user_key in absent if user_key not in repeated]
    if not new:
        joined = tuple(key for key in wanted if repeated.get(key) == place.meta_seq)
        return _described(batch, place, joined=joined, again=bool(repeated))
    _check_tenant(place.tenant, new)
    make_users(batch, new, command.at)
    _let_in(batch, place, new, command.at)
    place.participant_count += len(new)
    return _members_changed(batch, place, members | set(new), command.at, joined=tuple(new))


def remove(batch: Batch, command: RemoveParticipant) -> Outcome:
    place = batch.place(command.conversation_key)
    if place is None:
        return Outcome(error=not_found("conversation"))
    asked = command.privileged or command.by_key in (place.owner_key, command.user_key)
    if asked and _left_at(batch, place, command.user_key) == command.at:
        # The first attempt was committed and its answer lost; the user may be back since.
        back = batch.audience(place).members & {command.user_key}
        return _described(batch, place, removed=() if back else (command.user_key,), again=True)
    if not _may_see(batch, place, command.by_key, command.privileged):
        return Outcome(error=not_found("conversation"))
    if place.kind == "direct":
        raise AnmeiError(ErrorCode.BAD_REQUEST, "nobody leaves a direct conversation")
    if not asked:
        raise AnmeiError(ErrorCode.FORBIDDEN, "only the owner removes others")
    members = batch.audience(place).members
    if command.user_key not in members:
        return Outcome(error=not_found("participant"))
    if command.user_key == place.owner_key:
        raise AnmeiError(ErrorCode.BAD_REQUEST, "the owner stays in the conversation")
    (
        Participant.update(active=False, left_at=command.at)
        .where(
            Participant.conversation == place.pk,
            Participant.user_key == command.user_key,
        )
        .execute(batch.database)
    )
    place.participant_count -= 1
    return _members_changed(
        batch, place, members - {command.user_key}, command.at, removed=(command.user_key,)
    )


def _check_new(command: CreateConversation, members: tuple[str, ...]) -> None:
    if command.kind not in KINDS:
        raise AnmeiError(
            ErrorCode.BAD_REQUEST,
            f"kind: expected one of {', '.join(KINDS)}, got {ascii(command.kind[:64])}",
        )
    if command.kind == "direct" and len(members) != 2:
        raise AnmeiError(
            ErrorCode.BAD_REQUEST,
            "a direct conversation needs exactly one participant besides its owner,"
            f" got {len(members) - 1}",
        )
    _check_tenant(tenant_of(command.key), members)


def _check_size(members: int, most: int) -> None:
    if 0 < most < members:
        raise AnmeiError(
            ErrorCode.TOO_LARGE,
            f"{members} participants; at most {most} are allowed (ANMEI_LIMIT_MEMBERS)",
        )


def _check_owned(batch: Batch, command: CreateConversation) -> None:
    if command.privileged or not command.most_owned:
        return
    ((owned,),) = fetch(
        batch.database,
        "SELECT count(*) FROM (SELECT 1 FROM conversations WHERE owner_key = %s LIMIT %s) AS owned",
        (command.owner_key, command.most_owned),
    )
    if owned >= command.most_owned:
        raise AnmeiError(
            ErrorCode.TOO_LARGE,
            f"you own {owned} conversations; at most {command.most_owned} are allowed"
            " (ANMEI_LIMIT_CONVERSATIONS_PER_OWNER)",
        )


def _check_tenant(tenant: str, user_keys: Iterable[str]) -> None:
    for user_key in user_keys:
        if tenant_of(user_key) != tenant:
            raise not_found("user")


def _new_members(command: CreateConversation) -> tuple[str, ...]:
    return tuple(dict.fromkeys((command.owner_key, *command.participant_keys)))


def _is_same_attempt(place: Place, command: CreateConversation) -> bool:
    """Whether the row was made by this very command, whose answer was lost."""
    return (place.key, place.owner_key, place.kind, place.created_at) == (
        command.key,
        command.owner_key,
        command.kind,
        command.created_at,
    )


def _found(batch: Batch, place: Place, command: CreateConversation) -> Outcome:
    same = _is_same_attempt(place, command)
    outcome = _described(batch, place, again=same)
    assert outcome.reply is not None
    outcome.reply["created"] = same
    return outcome


def _remember(batch: Batch, place: Place, name: str | None) -> None:
    """The owner's idempotency key is for this conversation from now on."""
    if name is not None:
        IdempotencyKey.insert(key=name, conversation=place.pk).execute(batch.database)
        batch.twins[name] = place.key


def _make(batch: Batch, command: CreateConversation, members: tuple[str, ...]) -> Outcome:
    _check_size(len(members), command.most)
    _check_owned(batch, command)
    make_users(batch, list(members), command.created_at)
    values: dict[str, Any] = {
        "key": command.key,
        "tenant": tenant_of(command.key),
        "kind": command.kind,
        "title": command.title,
        "owner_key": command.owner_key,
        "created_at": command.created_at,
        "updated_at": command.created_at,
        "last_seq": 0,
        "change_seq": 0,
        "meta_seq": 0,
        "members_version": 0,
        "participant_count": len(members),
    }
    people = pair(command)
    pk = Conversation.insert(**values, dedup_key=people).execute(batch.database)
    place = Place(pk=pk, **values)
    batch.add(place)
    if people is not None:
        batch.twins[people] = place.key
    _remember(batch, place, once(command))
    _let_in(batch, place, list(members), command.created_at)
    outcome = _members_changed(batch, place, frozenset(members), command.created_at)
    assert outcome.reply is not None
    outcome.reply["created"] = True
    return outcome


def _may_see(batch: Batch, place: Place, by_key: str, privileged: bool) -> bool:
    """Whether the conversation is there for the asker's eyes."""
    return privileged or bool(batch.insiders([(place, by_key)]))


def _let_in(batch: Batch, place: Place, user_keys: list[str], at: int) -> None:
    """Insert participants, or bring back those who had left, with the marks they had. When they
    left is kept: the removal may be asked for again by whoever lost the answer to it. The next
    number of the conversation is that of their coming."""
    joined = {"active": True, "joined_at": at, "joined_seq": place.change_seq + 1}
    for start in range(0, len(user_keys), 1_000):
        rows = [
            {
                "conversation": place.pk,
                "user_key": user_key,
                "role": "owner" if user_key == place.owner_key else "member",
                **joined,
                "last_delivered_seq": 0,
                "last_read_seq": 0,
            }
            for user_key in user_keys[start : start + 1_000]
        ]
        (
            Participant.insert_many(rows)
            .on_conflict(
                conflict_target=[Participant.conversation, Participant.user_key],
                update=joined,
            )
            .execute(batch.database)
        )


def _let_in_at(batch: Batch, place: Place, user_keys: tuple[str, ...], at: int) -> dict[str, int]:
    """Those of the users who came in last at this very moment, and by which number."""
    rows = fetch_many(
        batch.database,
        "WITH w (conversation, user_key, at) AS (VALUES {values})"
        " SELECT w.user_key, p.joined_seq FROM w CROSS JOIN participants AS p"
        " WHERE p.conversation = w.conversation AND p.user_key = w.user_key AND p.joined_at = w.at",
        [(place.pk, user_key, at) for user_key in user_keys],
    )
    return dict(rows)


def _left_at(batch: Batch, place: Place, user_key: str) -> int | None:
    """When the user left last, None for one who never did."""
    query = Participant.select(Participant.left_at).where(
        Participant.conversation == place.pk,
        Participant.user_key == user_key,
    )
    for (left_at,) in query.tuples().execute(batch.database):
        return None if left_at is None else int(left_at)
    return None


def _members_changed(
    batch: Batch,
    place: Place,
    members: frozenset[str],
    at: int,
    removed: tuple[str, ...] = (),
    joined: tuple[str, ...] = (),
) -> Outcome:
    place.members_version += 1
    place.meta_seq = place.take_number()
    place.updated_at = max(place.updated_at, at)
    batch.set_audience(place, members)
    batch.changed(place)
    return _described(batch, place, removed=removed, joined=joined, again=True)


def _described(
    batch: Batch,
    place: Place,
    *,
    removed: tuple[str, ...] = (),
    joined: tuple[str, ...] = (),
    again: bool,
) -> Outcome:
    """The conversation as it is now; with `again` its last change is handed out too."""
    data = describe(batch, place)
    changes: tuple[Change, ...] = ()
    if again:
        changes = (
            Change(
                place.key,
                place.meta_seq,
                "conversation_updated",
                shapes.conversation_change(place.meta_seq, data),
                batch.audience(place),
                removed,
                joined if len(joined) <= MOST_JOINED else (),
            ),
        )
    return Outcome(reply={"conversation": data}, changes=changes)


def describe(batch: Batch, place: Place) -> dict[str, Any]:
    return shapes.conversation(
        key=place.key,
        kind=place.kind,
        title=place.title,
        owner_key=place.owner_key,
        participant_count=place.participant_count,
        participants=shown_participants(batch.database, [place.pk]).get(place.pk, []),
        created_at=place.created_at,
        updated_at=place.updated_at,
        last_seq=place.last_seq,
        change_seq=place.change_seq,
    )
