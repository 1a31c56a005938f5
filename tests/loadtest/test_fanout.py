"""What the load client says about a server whose faults are known."""

import sys
from pathlib import Path

import pytest

from loadtest import fanout
from loadtest.dialects import PlainWebSocket
from loadtest.progress import Progress
from loadtest.server import Server
from loadtest.swarm import Swarm

RELAY = str(Path(__file__).with_name("relay.py"))
DEVICES = 5
MESSAGES = 20


def broadcast(fault: str, rate: float = 1_000, size: int = 120) -> dict[str, object]:
    command = [sys.executable, RELAY, "{port}", fault]
    with Server(command, "listening at", {}) as server:
        swarm = Swarm(server.port, PlainWebSocket(), Progress())
        row = fanout.broadcast(server.cost, swarm, DEVICES, MESSAGES, size, rate, Progress())
        swarm.close()
    return row


@pytest.mark.parametrize("rate", [0, 1_000])
def test_an_honest_server_loses_and_doubles_nothing(rate):
    row = broadcast("", rate)
    assert (row["lost"], row["doubled"], row["disordered_of_sampled"]) == (0, 0, 0)
    assert 0 < row["cpu_us"] < 100_000


@pytest.mark.parametrize("rate", [0, 1_000])
def test_how_long_deliveries_took_and_how_many_came_at_once_is_shown(rate):
    row = broadcast("", rate)
    assert 0 < row["receive_p50_ms"] <= row["receive_p95_ms"]
    assert 1 <= row["joined"] <= MESSAGES


def test_a_stall_shows_in_every_delivery_that_was_due_meanwhile():
    row = broadcast("stall", 1_000)
    assert row["receive_p50_ms"] > 100
    assert row["lost"] == 0


def test_frames_that_come_in_many_pieces_are_counted_once():
    row = broadcast("", size=200_000)
    assert (row["lost"], row["doubled"], row["disordered_of_sampled"]) == (0, 0, 0)


def test_a_lost_message_is_found(monkeypatch):
    # Nothing comes any more, and a machine that is busy is not taken for that.
    monkeypatch.setattr(fanout, "PATIENCE_SECONDS", 2)
    row = broadcast("lose")
    assert (row["lost"], row["doubled"], row["disordered_of_sampled"]) == (1, 0, 1)


def test_a_doubled_message_is_found(monkeypatch):
    # What is counted twice is taken for the last delivery, and that one comes behind it.
    monkeypatch.setattr(fanout, "REST_SECONDS", 1)
    row = broadcast("double")
    assert (row["lost"], row["doubled"], row["disordered_of_sampled"]) == (0, 1, 1)


def test_two_messages_in_the_wrong_order_are_found():
    row = broadcast("swap")
    assert (row["lost"], row["doubled"], row["disordered_of_sampled"]) == (0, 0, 1)
