"""Who takes part in a chaos run."""

import pytest

from loadtest.chaos.cast import cast


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("clients", "nodes"), [(30, 3), (30, 1), (6, 1), (100, 5)])
def test_everybody_talks_and_every_conversation_spans_every_node(clients, nodes, seed):
    people = cast(clients, 10, nodes, seed)
    assert len(people.parts) == len({part.name for part in people.parts}) == clients
    assert all(part.rooms for part in people.parts)
    for index, members in enumerate(people.rooms):
        present = [part for part in people.parts if index in part.rooms]
        assert {part.user for part in present} == set(members)
        assert {part.home for part in present} == set(range(nodes))


def test_some_users_have_devices_on_two_nodes():
    people = cast(30, 10, 3, 1)
    homes: dict[int, set[int]] = {}
    for part in people.parts:
        homes.setdefault(part.user, set()).add(part.home)
    assert len([user for user in homes if len(homes[user]) == 2]) == 6
    assert len(homes) == people.users == 24


def test_no_conversation_is_the_whole_crowd():
    people = cast(30, 10, 3, 1)
    assert all(len(members) < people.users * 0.7 for members in people.rooms)


def test_the_same_seed_casts_the_same():
    assert cast(30, 10, 3, 1) == cast(30, 10, 3, 1)
    assert cast(30, 10, 3, 1) != cast(30, 10, 3, 2)
