"""Random histories of commands against a model of a few lines."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anmei.commands import (
    AddParticipants,
    Command,
    CreateConversation,
    MoveMarks,
    Outcome,
    RemoveParticipant,
    SendMessage,
)
from db import queries
from db.store import Store
from tests.db.chat import NOW, add, create, delivered, do, read, remove, send

USERS = ["ann", "bob", "cid"]
ROOMS = ["red", "blue"]

_user = st.sampled_from(USERS)
_room = st.sampled_from(ROOMS)
_commands = st.one_of(
    st.tuples(st.just("create"), _room, _user, st.lists(_user, max_size=3)),
    st.tuples(st.just("send"), _room, _user, st.integers(0, 5)),
    st.tuples(st.just("send"), _room, _user, st.integers(0, 5)),
    st.tuples(st.just("read"), _room, _user, st.integers(-1, 12)),
    st.tuples(st.just("delivered"), _room, _user, st.integers(-1, 12)),
    st.tuples(st.just("add"), _room, _user, _user),
    st.tuples(st.just("remove"), _room, _user, _user),
)
_batches = st.lists(st.lists(_commands, max_size=8), max_size=8)


class Model:
    """What the store should do, one command at a time."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, Any]] = {}

    def do(self, command: Command) -> tuple[Any, ...]:
        """The answer in short: an error's code, or what matters of the reply and the changes."""
        if isinstance(command, CreateConversation):
            if command.key in self.rooms:
                return ("conflict",)
            members = {command.owner_key, *command.participant_keys}
            self.rooms[command.key] = {
                "owner": command.owner_key,
                "members": members,
                "marks": {},
                "messages": [],
                "last": 1,
            }
            return ("changed", 1, frozenset(members))
        assert isinstance(command, SendMessage | MoveMarks | AddParticipants | RemoveParticipant)
        room = self.rooms.get(command.conversation_key)
        if room is None:
            return ("not_found",)
        asker = {
            SendMessage: "sender_key",
            MoveMarks: "user_key",
            AddParticipants: "by_key",
            RemoveParticipant: "by_key",
        }[type(command)]
        if isinstance(command, SendMessage) and (stored := self.stored(room, command)):
            return stored
        if getattr(command, asker) not in room["members"]:
            return ("not_found",)
        if isinstance(command, SendMessage):
            return self.send(room, command)
        if isinstance(command, MoveMarks):
            return self.move(room, command)
        return self.change(room, command)

    def stored(self, room: dict[str, Any], command: SendMessage) -> tuple[Any, ...] | None:
        for seq, sender, name in room["messages"]:
            if (sender, name) == (command.sender_key, command.client_msg_id):
                return ("sent", seq, True)
        return None

    def send(self, room: dict[str, Any], command: SendMessage) -> tuple[Any, ...]:
        room["last"] += 1
        room["messages"].append((room["last"], command.sender_key, command.client_msg_id))
        return ("sent", room["last"], False)

    def move(self, room: dict[str, Any], command: MoveMarks) -> tuple[Any, ...]:
        marks = room["marks"].setdefault(command.user_key, [0, 0])
        top = max((message[0] for message in room["messages"]), default=0)
        seq = min(max(command.seq or 0, 0), top)
        marks[0] = max(marks[0], seq)
        if command.read:
            marks[1] = max(marks[1], seq)
        return ("marked", marks[1] if command.read else marks[0])

    def unread(self, room: dict[str, Any], user: str) -> int:
        read = room["marks"].get(user, [0, 0])[1]
        return sum(seq > read and sender != user for seq, sender, _ in room["messages"])

    def change(
        self, room: dict[str, Any], command: AddParticipants | RemoveParticipant
    ) -> tuple[Any, ...]:
        if isinstance(command, AddParticipants):
            if command.by_key != room["owner"]:
                return ("forbidden",)
            if set(command.user_keys) <= room["members"]:
                return ("same",)
            room["members"] |= set(command.user_keys)
        else:
            if command.by_key not in (room["owner"], command.user_key):
                return ("forbidden",)
            if command.user_key not in room["members"]:
                return ("not_found",)
            if command.user_key == room["owner"]:
                return ("bad_request",)
            room["members"].discard(command.user_key)
        room["last"] += 1
        return ("changed", room["last"], frozenset(room["members"]))


def short(command: Command, outcome: Outcome) -> tuple[Any, ...]:
    if outcome.error is not None:
        return (outcome.error.code.code,)
    assert outcome.reply is not None
    if isinstance(command, SendMessage):
        return ("sent", outcome.reply["message"]["seq"], outcome.reply["duplicate"])
    if isinstance(command, MoveMarks):
        return ("marked", outcome.reply["seq"])
    if not outcome.changes:
        return ("same",)
    (change,) = outcome.changes
    return ("changed", change.change_seq, change.audience.members)


def said(kind: str, room: str, user: str, detail: Any, moment: int) -> Command:
    if kind == "create":
        return create(room, user, *detail, created_at=moment)
    if kind == "send":
        return send(room, user, client_msg_id=f"c{detail}")
    if kind in ("read", "delivered"):
        return (read if kind == "read" else delivered)(room, user, detail)
    return (add if kind == "add" else remove)(room, user, detail, at=moment)


def judge(store: Store, batches: list[list[tuple[Any, ...]]], prefix: str) -> None:
    model = Model()
    moment = NOW
    for batch in batches:
        commands: list[Command] = []
        for kind, room, user, detail in batch:
            moment += 1
            commands.append(said(kind, prefix + room, user, detail, moment))
        outcomes = do(store, *commands)
        expected = [model.do(command) for command in commands]
        found = [short(command, one) for command, one in zip(commands, outcomes, strict=True)]
        # Answers to marks that share a batch may tell of the later ones already.
        for at, command in enumerate(commands):
            if isinstance(command, MoveMarks) and expected[at][0] == "marked":
                assert found[at][0] == "marked"
                assert found[at][1] >= expected[at][1]
            else:
                assert found[at] == expected[at]
    for name, room in model.rooms.items():
        audience = store.read(queries.audience, name).result(60)
        assert audience is not None
        assert audience.members == room["members"]
        for user in room["members"]:
            head = store.read(queries.conversation, user, name).result(60)
            assert head is not None
            marks = [head["last_delivered_seq"], head["last_read_seq"]]
            assert marks == room["marks"].get(user, [0, 0])
            assert head["unread"] == model.unread(room, user)
            assert head["participant_count"] == len(room["members"])
        events = store.read(queries.changes, name, 0, 1_000).result(60).events
        sent = [event[0] for event in events if event[1] == "new_message"]
        assert sent == [message[0] for message in room["messages"]]
        assert max(event[0] for event in events) == room["last"]


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 60), ("tables", 20)])
def test_any_history_of_commands_ends_as_the_model_says(
    kind: str,
    examples: int,
    request: pytest.FixtureRequest,
    open_store: Callable[..., Store],
) -> None:
    store = open_store(request.getfixturevalue(f"{kind}_url"))
    runs = iter(range(1_000_000))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(_batches)
    def check(batches: list[list[tuple[Any, ...]]]) -> None:
        judge(store, batches, f"run{next(runs)}-")

    check()
