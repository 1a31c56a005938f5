"""The plan of a chaos run."""

from collections import Counter

import pytest

from loadtest.chaos.faults import EVERY, KINDS, LINKS, REST, kinds_for, plan


def test_the_same_seed_gives_the_same_plan_and_another_one_another():
    kinds = kinds_for(nodes=3, redis=True)
    assert plan(7, kinds, 3, 600) == plan(7, kinds, 3, 600)
    assert plan(7, kinds, 3, 600) != plan(8, kinds, 3, 600)


def test_ten_minutes_see_every_kind_several_times_and_one_fault_every_five_seconds():
    kinds = kinds_for(nodes=3, redis=True)
    assert kinds == list(KINDS)
    assert len(kinds) >= 12
    steps = plan(1, kinds, 3, 600)
    counts = Counter(step.kind for step in steps)
    assert len(steps) > 0.9 * 600 / EVERY
    assert set(counts) == set(kinds)
    assert min(counts.values()) >= 3
    assert {step.node for step in steps} == {0, 1, 2}


@pytest.mark.parametrize("nodes", [1, 3])
def test_nothing_is_struck_that_is_still_under_way(nodes):
    for seed in range(20):
        busy: dict[tuple[str, int], float] = {}
        for step in plan(seed, kinds_for(nodes, nodes > 1), nodes, 600):
            target = KINDS[step.kind].target
            key = target, step.node if target in ("node", *LINKS) else 0
            assert busy.get(key, 0) <= step.at
            busy[key] = step.at + step.seconds + REST


def test_a_node_without_redis_is_spared_what_needs_one():
    kinds = kinds_for(nodes=1, redis=False)
    assert not any("Redis" in kind for kind in kinds)
    assert len(kinds) >= 10


def test_a_deployment_of_somebody_else_is_only_met_by_clients():
    assert kinds_for(nodes=0, redis=False) == ["clients cut", "clients stalled", "reconnect storm"]
