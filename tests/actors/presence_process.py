"""A node in a process of its own, to be frozen and killed: it holds the users that it is told.

Arguments: Redis's URL, the node's id, and how many users it holds. Writes `ready` when they are in.
"""

import asyncio
import sys

from tests.actors.redis_nodes import SECRET, Node


async def main(url: str, node_id: str, count: int) -> None:
    node = Node(node_id, url, [SECRET])
    for n in range(count):
        node.presence.enter(f"default/{node_id}_user{n}", "online", {f"conn_{node_id}_{n}": n + 1})
    await node.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
