"""Free TCP ports for tests."""

import os
import random
import re
import socket
from collections import deque

FIRST, LAST = 20_000, 32_000
PARTS = 12  # of the range, one for each process of a run

_chance = random.Random(os.getpid())  # of its own: whoever seeds the common one gets the same ports
#: The latest, and not all: a whole run in one process asks for a thousand.
_taken: deque[int] = deque(maxlen=200)


def free_port(count: int = 1) -> int:
    """The first of `count` ports in a row that nobody listens on, and that nobody else of this run
    is given, from a range that the kernel does not hand out by itself.

    Outgoing connections of other programs take their ports from 32768–60999; a fixed port there
    is sometimes "already in use" while nobody listens.
    """
    part = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "0"))) % PARTS
    size = (LAST - FIRST) // PARTS
    for _ in range(200):
        first = FIRST + part * size + _chance.randrange(size - count)
        ports = range(first, first + count)
        if set(ports).isdisjoint(_taken) and all(map(_is_free, ports)):
            _taken.extend(ports)
            return first
    raise AssertionError(f"no free port between {FIRST} and {LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
