"""The ledger of a storm finds what is missing and what came twice."""

import socket
from collections.abc import Iterator

import pytest

from loadtest.device import Device
from loadtest.storm import Ledger


@pytest.fixture
def devices() -> Iterator[list[Device]]:
    pairs = [socket.socketpair() for _ in range(2)]
    yield [Device(index, pair[0]) for index, pair in enumerate(pairs)]
    for pair in pairs:
        for end in pair:
            end.close()


def message(number: int, change_seq: int) -> bytes:
    return (
        b'{"type":"new_message","data":{"seq":%d,"change_seq":%d,"content":"@%d;","reply_to":null}}'
        % (change_seq, change_seq, number)
    )


def ack(number: int) -> bytes:
    return b'{"type":"ack","id":"m%d","data":{"seq":1}}' % number


def test_an_acknowledged_message_that_a_member_does_not_hold_is_lost(devices):
    ledger = Ledger(devices=2, conversations=1)
    ledger.feed(devices[0], ack(0) + ack(1) + message(0, 1) + message(1, 2))
    ledger.feed(devices[1], message(0, 1))
    assert ledger.acknowledged() == 2
    assert ledger.lost() == 1
    ledger.feed(devices[1], message(1, 2))
    assert ledger.lost() == 0


def test_a_message_without_an_acknowledgement_may_be_missing(devices):
    ledger = Ledger(devices=2, conversations=1)
    ledger.feed(devices[0], message(0, 1))
    assert ledger.lost() == 0


def test_a_message_that_comes_twice_is_counted(devices):
    ledger = Ledger(devices=2, conversations=1)
    ledger.feed(devices[0], message(0, 1) + message(0, 1))
    assert ledger.doubled == 1


def test_a_device_that_forgets_is_further_back_and_may_be_told_again(devices):
    ledger = Ledger(devices=2, conversations=1)
    ledger.feed(devices[0], b"".join(message(number, number + 2) for number in range(6)))
    ledger.forget_last(4)
    assert ledger.place(0) == 3
    assert ledger.place(1) == 0
    ledger.feed(devices[0], message(5, 7))
    assert ledger.doubled == 0


def test_messages_belong_to_the_conversation_that_their_number_says(devices):
    ledger = Ledger(devices=2, conversations=2)
    ledger.feed(devices[1], ack(3))
    assert ledger.acked == [set(), {3}]
    assert ledger.lost() == 1
