"""A program that writes messages until it is killed, and says which were acknowledged.

python -m tests.db.writer URL
"""

import sys

from db.store import Store
from tests.db.chat import create, reply, send


def main(url: str) -> None:
    store = Store(url, readers=1, timeout_ms=30_000)
    store.open()
    reply(store, create("room", "ann"))
    futures = []
    for number in range(1_000_000):
        commands = [send("room", "ann", client_msg_id=f"{number}.{part}") for part in range(7)]
        futures.append(store.write(list(commands)))
        if len(futures) < 4:
            continue
        for outcome in futures.pop(0).result():
            message = outcome.changes[0].data
            sys.stdout.write(f"ack {message['client_msg_id']} {message['seq']}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
