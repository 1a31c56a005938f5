"""The parent of the workers, with stubs in their place; the real ones are in tests/nodes."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.child import Child


@pytest.fixture
def parent() -> Iterator[Callable[..., Child]]:
    """`parent("obedient")` is the parent of two stubs that behave like that."""
    children: list[Child] = []

    def start(*behaviour: str, drain_seconds: float = 30) -> Child:
        program = Path(__file__).with_name("workers_stubs.py")
        children.append(Child([sys.executable, program, str(drain_seconds), *behaviour]))
        return children[-1]

    yield start
    for child in children:
        child.close()


def pid(parent: Child, slot: int) -> int:
    return int(parent.wait_for_line(rf"worker {slot} \(pid (\d+)\) serves")[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_in_order_with_status_0(parent, number):
    child = parent("obedient")
    child.wait_for_line("all serve")
    child.signal(number)
    assert child.wait() == 0
    assert len(re.findall(r"worker \d \(pid \d+\) ended with status 0", child.log)) == 2


def test_a_worker_that_does_not_end_is_killed_after_its_time_and_the_status_says_so(parent):
    child = parent("deaf", drain_seconds=0.2)
    child.wait_for_line("all serve")
    assert child.terminate() == 1
    assert child.log.count("is killed: it had its time") == 2
    assert child.log.count("was killed by SIGKILL") == 2


def test_a_worker_that_fails_before_anybody_was_served_ends_the_start(parent):
    child = parent("failing")
    assert child.wait() == 2
    assert "ended with status 3 before it served: the start is given up" in child.log
    assert "all serve" not in child.log


def test_deaths_in_a_row_are_answered_later_each_time(parent):
    child = parent("passing")
    child.wait_for_line(r"worker 1 .* ended with status 4; another one starts in 0\.8 s")
    pauses = re.findall(r"worker 1 .* another one starts in ([\d.]+) s", child.log)
    assert pauses[:4] == ["0.1", "0.2", "0.4", "0.8"]


def test_a_death_among_the_living_costs_the_others_nothing(parent):
    child = parent("obedient")
    child.wait_for_line("all serve")
    victim, other = pid(child, 1), pid(child, 2)
    os.kill(victim, signal.SIGSEGV)
    child.wait_for_line(r"worker 1 \(pid \d+\) was killed by SIGSEGV; another one starts in 0\.1 s")
    child.wait_for_line(rf"worker 1 \(pid (?!{victim}\b)\d+\) serves")
    assert child.log.count("all serve") == 1
    assert child.terminate() == 0
    assert f"worker 2 (pid {other}) ended with status 0" in child.log


def test_a_roll_replaces_one_after_the_other(parent):
    child = parent("obedient")
    child.wait_for_line("all serve")
    before = {slot: pid(child, slot) for slot in (1, 2)}
    child.signal(signal.SIGHUP)
    child.wait_for_line(rf"worker 2 \(pid {before[2]}\) ended with status 0")
    steps = re.findall(r"worker (\d) \(pid \d+\) (serves|ended)", child.log)[2:]
    assert steps == [("1", "serves"), ("1", "ended"), ("2", "serves"), ("2", "ended")]
    assert child.terminate() == 0


def test_a_roll_stops_at_a_successor_that_does_not_come_up(parent, tmp_path):
    broken = tmp_path / "broken"
    child = parent("until", str(broken))
    child.wait_for_line("all serve")
    broken.touch()
    child.signal(signal.SIGHUP)
    child.wait_for_line("ended with status 3 before it served: the others stay as they are")
    assert child.terminate() == 0
    for slot in (1, 2):
        assert f"worker {slot} (pid {pid(child, slot)}) ended with status 0" in child.log
