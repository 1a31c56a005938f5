"""Order, gaps and duplicates are judged here, once per event."""

import asyncio
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.counters import Counters
from actors.device import Device
from actors.sequencer import MOST_EARLY, Sequencer
from anmei.commands import Audience, Change
from tests.actors.kit import make_device, tick

KEY = "default/room"
EVERYBODY = Audience(1, frozenset({"default/ada", "default/bob"}))


def change(number: int, audience: Audience = EVERYBODY, removed: tuple[str, ...] = ()) -> Change:
    data = {
        "conversation_id": "room",
        "seq": number,
        "change_seq": number,
        "content": f"m{number}",
    }
    return Change(KEY, number, "new_message", data, audience, removed)


class Stage:
    """A sequencer with devices, and a store that holds what was committed."""

    def __init__(self, devices: Iterable[Device], mark: int = 0) -> None:
        self.committed: dict[int, Change] = {}
        self.reads: list[int] = []
        self.store_is_down = False
        self.asked_twice = asyncio.Event()
        self.all = {device.principal.key: device for device in devices}
        self.counters = Counters()
        self.sequencer = Sequencer(
            KEY,
            mark,
            loop=asyncio.get_running_loop(),
            seats=lambda key, users: [self.all[user] for user in users if user in self.all],
            fill=self._fill,
            counters=self.counters,
        )

    def _fill(self, sequencer: Sequencer) -> None:
        self.reads.append(sequencer.mark)
        if len(self.reads) == 2:
            self.asked_twice.set()
        if self.store_is_down:
            sequencer.retry()
            return
        found = [self.committed[n] for n in sorted(self.committed) if sequencer.mark < n]
        sequencer.filled(found, max(self.committed, default=0))

    def commit(self, number: int, **changes: object) -> Change:
        self.committed[number] = change(number, **changes)  # type: ignore[arg-type]
        return self.committed[number]


def numbers(wire) -> list[int]:
    return [frame["data"]["change_seq"] for frame in wire.frames()]


async def test_what_comes_in_turn_goes_out_at_once():
    device, wire = make_device()
    stage = Stage([device])
    for number in (1, 2, 3):
        stage.sequencer.offer(stage.commit(number))
    await tick(2)
    assert numbers(wire) == [1, 2, 3]
    assert stage.reads == []


async def test_an_event_is_encoded_once_for_all_devices():
    ada, ada_wire = make_device("ada")
    bob, bob_wire = make_device("bob")
    stage = Stage([ada, bob])
    stage.sequencer.offer(stage.commit(1))
    await tick(2)
    assert stage.counters.encodes == 1
    assert numbers(ada_wire) == numbers(bob_wire) == [1]


async def test_what_comes_early_waits_for_what_is_before_it(monkeypatch):
    monkeypatch.setattr("actors.sequencer.HOLE_PATIENCE", 60)
    device, wire = make_device()
    stage = Stage([device])
    first, second = stage.commit(1), stage.commit(2)
    stage.sequencer.offer(second)
    await tick(2)
    assert numbers(wire) == []
    stage.sequencer.offer(first)
    await tick(2)
    assert numbers(wire) == [1, 2]
    assert stage.reads == []


async def test_a_hole_that_stays_is_read_from_the_store():
    device, wire = make_device()
    stage = Stage([device])
    stage.commit(1)
    stage.sequencer.offer(stage.commit(2))
    await stage.sequencer.reached(2)
    await tick(2)
    assert numbers(wire) == [1, 2]
    assert stage.reads == [0]


async def test_a_store_that_is_down_is_asked_again_until_it_answers(monkeypatch):
    monkeypatch.setattr("actors.sequencer.HOLE_PATIENCE", 0.01)
    device, wire = make_device()
    stage = Stage([device])
    stage.store_is_down = True
    stage.commit(1)
    stage.sequencer.offer(stage.commit(2))
    waiting = asyncio.ensure_future(stage.sequencer.reached(2))
    await stage.asked_twice.wait()
    stage.store_is_down = False
    await waiting
    await tick(2)
    assert numbers(wire) == [1, 2]


async def test_what_comes_late_or_twice_is_dropped():
    device, wire = make_device()
    stage = Stage([device], mark=5)
    for number in (5, 3, 6, 6):
        stage.sequencer.offer(stage.commit(number))
    await tick(2)
    assert numbers(wire) == [6]
    assert stage.counters.late == 3


async def test_a_message_that_went_out_while_a_hole_was_read_is_new_no_longer():
    device, wire = make_device()
    stage = Stage([device])
    stage.sequencer.offer(stage.commit(1))
    stage.sequencer.offer(stage.commit(2))
    # What the store said of 1 and 2, which had both been changed meanwhile, to a mark of 0.
    late = [change(4), change(5)]
    late[0].data["seq"], late[1].data["seq"] = 2, 5
    stage.sequencer.filled(late, 5)
    await tick(2)
    assert [(frame["type"], frame["data"]["change_seq"]) for frame in wire.frames()] == [
        ("new_message", 1),
        ("new_message", 2),
        ("message_updated", 4),
        ("new_message", 5),
    ]


async def test_a_message_that_is_changed_between_two_parts_of_a_hole_is_new_all_the_same():
    device, wire = make_device()
    stage = Stage([device])
    stage.store_is_down = True  # the parts are handed over below
    stage.sequencer.filled([change(1), change(2)], None)
    assert stage.reads == [2]
    # 3 and 1 were changed before the second part was read, and 4 again after it was.
    late = [change(4), change(5), change(6)]
    late[1].data["seq"], late[2].data["seq"] = 3, 1
    stage.sequencer.filled(late, 6)
    again = change(7)
    again.type, again.data["seq"] = "message_updated", 4
    stage.sequencer.offer(again)
    await tick(2)
    assert [(frame["type"], frame["data"]["seq"]) for frame in wire.frames()] == [
        ("new_message", 1),
        ("new_message", 2),
        ("new_message", 4),
        ("new_message", 3),
        ("message_updated", 1),
        ("message_updated", 4),
    ]
    stage.sequencer.close()


async def test_numbers_that_a_later_change_took_over_are_no_hole():
    device, wire = make_device()
    stage = Stage([device])
    stage.committed[3] = change(3)
    stage.committed[3].data["seq"] = 1
    stage.sequencer.expect(2)
    await stage.sequencer.reached(3)
    stage.sequencer.offer(stage.commit(4))
    await tick(2)
    assert numbers(wire) == [3, 4]
    # What was left out is told from what was lost.
    assert [frame["data"].get("after_change_seq") for frame in wire.frames()] == [0, None]
    assert stage.reads == [0]


async def test_a_flood_of_early_events_is_bounded_by_reading_the_hole_at_once():
    device, wire = make_device(limit=10_000_000)
    stage = Stage([device])
    stage.commit(1)
    for number in range(2, MOST_EARLY + 4):
        stage.sequencer.offer(stage.commit(number))
    assert stage.reads
    await tick(2)
    assert numbers(wire)[: MOST_EARLY + 1] == list(range(1, MOST_EARLY + 2))
    stage.sequencer.close()


async def test_a_store_that_does_not_answer_is_asked_once_and_what_waits_is_bounded(monkeypatch):
    """However many events of others come meanwhile."""
    monkeypatch.setattr("actors.sequencer.HOLE_PATIENCE", 0.001)
    device, wire = make_device(limit=10_000_000)
    stage = Stage([device])
    asked = []
    stage.sequencer._fill = asked.append
    last = 3 * MOST_EARLY
    for number in range(2, last + 1):
        stage.sequencer.offer(stage.commit(number))
        if number % 500 == 0:
            await asyncio.sleep(0.005)
    stage.commit(1)
    assert asked == [stage.sequencer]
    assert len(stage.sequencer._early) <= MOST_EARLY
    stage.sequencer._fill = stage._fill
    stage._fill(stage.sequencer)
    await tick(3)
    assert numbers(wire) == list(range(1, last + 1))


async def test_a_number_that_is_only_known_to_exist_is_read_from_the_store():
    device, wire = make_device()
    stage = Stage([device])
    stage.commit(1)
    stage.sequencer.expect(1)
    await stage.sequencer.reached(1)
    await tick(2)
    assert numbers(wire) == [1]


async def test_an_answer_that_comes_when_all_have_left_takes_nobody_from_another_seat():
    device, _ = make_device(attached=False)
    stage = Stage([device])
    hole = stage.commit(2)
    stage.sequencer.offer(hole)
    stage.sequencer.close()
    stage.sequencer.filled([hole], 2)
    assert device.conversations == {}
    assert not stage.sequencer.devices


async def test_nobody_waits_for_a_sequencer_that_nobody_is_at():
    stage = Stage([])
    stage.store_is_down = True
    stage.sequencer.close()
    await asyncio.wait_for(stage.sequencer.reached(3), 1)
    assert stage.reads == []


async def test_somebody_removed_hears_his_removal_and_nothing_after_it():
    ada, ada_wire = make_device("ada")
    bob, bob_wire = make_device("bob")
    stage = Stage([ada, bob])
    stage.sequencer.offer(stage.commit(1))
    only_ada = Audience(2, frozenset({"default/ada"}))
    stage.sequencer.offer(stage.commit(2, audience=only_ada, removed=("default/bob",)))
    stage.sequencer.offer(stage.commit(3, audience=only_ada))
    await tick(2)
    assert numbers(ada_wire) == [1, 2, 3]
    assert numbers(bob_wire) == [1, 2]
    assert bob_wire.frames()[-1]["data"]["removed"] is True
    assert "content" not in bob_wire.frames()[-1]["data"]
    assert KEY not in bob.conversations


async def test_somebody_added_hears_what_comes_from_then_on():
    ada, _ = make_device("ada")
    bob, bob_wire = make_device("bob")
    stage = Stage([ada, bob])
    stage.sequencer.offer(stage.commit(1, audience=Audience(1, frozenset({"default/ada"}))))
    stage.sequencer.offer(stage.commit(2, audience=Audience(2, EVERYBODY.members)))
    await tick(2)
    assert numbers(bob_wire) == [2]
    assert bob.conversations[KEY] is stage.sequencer


async def test_an_older_membership_never_replaces_a_newer_one():
    ada, _ = make_device("ada")
    bob, bob_wire = make_device("bob")
    stage = Stage([ada, bob])
    both = Audience(1, EVERYBODY.members)
    stage.sequencer.offer(stage.commit(1, audience=Audience(2, frozenset({"default/ada"}))))
    stage.sequencer.offer(stage.commit(2, audience=both))
    await tick(2)
    assert numbers(bob_wire) == []


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 12).flatmap(
        lambda n: st.lists(st.integers(1, n), min_size=1, max_size=30).map(lambda order: (n, order))
    )
)
def test_whatever_order_events_come_in_each_goes_out_once_and_in_order(case):
    """Any arrivals, with repeats and omissions; what never comes is found by a later gap check."""
    last, arrivals = case

    async def scenario() -> list[int]:
        device, wire = make_device()
        stage = Stage([device])
        for number in range(1, last + 1):
            stage.commit(number)
        for number in arrivals:
            stage.sequencer.offer(stage.committed[number])
        stage.sequencer.expect(last)
        stage.sequencer._read_hole()
        await tick(2)
        stage.sequencer.close()
        return numbers(wire)

    assert asyncio.run(scenario()) == list(range(1, last + 1))
