"""Several stores on one database at the same time, as several nodes are."""

import random
import threading
from collections.abc import Callable

from anmei.commands import Command, Outcome
from db import queries
from db.store import Store
from tests.db.chat import NOW, add, create, delivered, do, key, read, remove, reply, send, touch

ROOMS = [f"room{number}" for number in range(6)]
USERS = ["ann", "bob", "cid", "dan"]


def together(*targets: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def guarded(target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_two_nodes_number_without_gap_repeat_or_deadlock(
    url: str, open_store: Callable[..., Store]
) -> None:
    stores = [open_store(url), open_store(url)]
    for room in ROOMS:
        reply(stores[0], create(room, *USERS))
    outcomes: list[Outcome] = []

    def node(store: Store, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            commands: list[Command] = []
            for _ in range(12):
                room, user = chance.choice(ROOMS), chance.choice(USERS)
                commands += [send(room, user), delivered(room, user, 2**40), touch(user)]
            chance.shuffle(commands)
            outcomes.extend(do(store, *commands))

    # Each store has two askers, so its queue is never empty.
    together(*[lambda s=store, n=seed: node(s, n) for seed in (1, 2) for store in stores])  # type: ignore[misc]
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    numbers: dict[str, list[int]] = {}
    for outcome in outcomes:
        for change in outcome.changes:
            numbers.setdefault(change.conversation_key, []).append(change.change_seq)
    assert sum(map(len, numbers.values())) == 4 * 25 * 12
    for room in ROOMS:
        found = numbers[key(room)]
        assert sorted(found) == list(range(2, len(found) + 2))
        events = stores[1].read(queries.changes, key(room), 1, 10_000).result(60).events
        assert [event[0] for event in events] == sorted(found)


def test_the_same_message_sent_through_two_nodes_at_once_is_one(
    url: str, open_store: Callable[..., Store]
) -> None:
    stores = [open_store(url), open_store(url)]
    reply(stores[0], create("room", "ann"))
    answers: list[tuple[str, int, bool]] = []

    def node(store: Store) -> None:
        for number in range(60):
            found = reply(store, send("room", "ann", client_msg_id=f"c{number}"))
            message = found["message"]
            answers.append((message["client_msg_id"], message["seq"], found["duplicate"]))

    together(*[lambda s=store: node(s) for store in stores])  # type: ignore[misc]
    assert len({(name, seq) for name, seq, _ in answers}) == 60
    assert sum(duplicate for _, _, duplicate in answers) == 60


def test_the_same_conversation_made_on_two_nodes_at_once_is_one(
    url: str, open_store: Callable[..., Store]
) -> None:
    stores = [open_store(url), open_store(url)]
    made: dict[str, list[tuple[str, bool]]] = {}

    def node(store: Store, name: str, order: list[int]) -> None:
        for number in order:
            pair = ("ann", f"u{number}") if name == "a" else (f"u{number}", "ann")
            command = create(f"{name}{number}", *pair, kind="direct", created_at=NOW + ord(name))
            found = reply(store, command)
            made.setdefault(f"u{number}", []).append(
                (found["conversation"]["conversation_id"], found["created"])
            )

    together(
        lambda: node(stores[0], "a", list(range(40))),
        lambda: node(stores[1], "b", list(range(39, -1, -1))),
    )
    for answers in made.values():
        assert len({name for name, _ in answers}) == 1
        assert sorted(created for _, created in answers) == [False, True]


def test_membership_changed_on_one_node_holds_on_the_other_at_once(
    url: str, open_store: Callable[..., Store]
) -> None:
    one, two = open_store(url), open_store(url)
    reply(one, create("room", "ann", "bob"))
    for turn in range(5):
        (sent,) = do(two, send("room", "bob"))
        assert sent.error is None
        do(one, remove("room", "ann", "bob", at=NOW + 2 * turn))
        (refused,) = do(two, send("room", "bob"))
        assert refused.error is not None
        (other,) = do(two, send("room", "ann"))
        assert other.changes[0].audience.members == {key("ann")}
        do(one, add("room", "ann", "bob", at=NOW + 2 * turn + 1))


def test_a_mark_read_on_two_nodes_at_once_ends_at_the_highest(
    url: str, open_store: Callable[..., Store]
) -> None:
    stores = [open_store(url), open_store(url)]
    reply(stores[0], create("room", "ann", "bob"))
    do(stores[0], *[send("room", "ann") for _ in range(80)])

    def node(store: Store, seqs: list[int]) -> None:
        for seq in seqs:
            found = reply(store, read("room", "bob", seq))
            assert found["seq"] >= seq

    together(
        lambda: node(stores[0], list(range(2, 81, 2))),
        lambda: node(stores[1], list(range(3, 80, 2))),
    )
    head = stores[0].read(queries.conversation, key("bob"), key("room")).result(60)
    assert head is not None
    assert (head["last_read_seq"], head["unread"]) == (80, 1)
