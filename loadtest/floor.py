"""What the kernel alone takes for one delivery here: a bare `send` on a loopback connection.

No server can be cheaper, and it differs by a factor of four between machines, and between a busy
and a quiet moment of one; a ratio means little without it.
"""

import socket
import time

CONNECTIONS = 1_000
ROUNDS = 30
BYTES = 500


def bare_send_us() -> float:
    """CPU time of one `send` of 500 bytes, in µs."""
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener:
        pairs = []
        for _ in range(CONNECTIONS):
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
            pairs.append((near, far))
    data = b"x" * BYTES
    seconds = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        for near, _ in pairs:
            near.send(data)
        seconds += time.process_time() - began
        for _, far in pairs:
            far.recv(BYTES)
    for pair in pairs:
        for end in pair:
            end.close()
    return seconds / (CONNECTIONS * ROUNDS) * 1e6
