"""Free TCP ports for tests."""

import random
import socket


def free_port() -> int:
    """A port that nobody listens on, from a range that the kernel does not hand out by itself.

    Outgoing connections of other programs take their ports from 32768–60999; a fixed port there
    is sometimes "already in use" while nobody listens.
    """
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port between 20000 and 32000")
