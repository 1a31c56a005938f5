"""Who takes part in a run: users, their devices, where each device is at home, and who talks with
whom."""

import random
from dataclasses import dataclass

TWO_DEVICES = 4  # one in this many users has a second device, at home on another node
MEMBERS_IN = 3  # one in this many users is in a conversation


@dataclass
class Part:
    """One device: the index of its user, of its node, and of each conversation."""

    name: str
    user: int
    home: int
    rooms: list[int]


@dataclass
class Cast:
    """`rooms` has the indexes of the users of each conversation."""

    users: int
    rooms: list[list[int]]
    parts: list[Part]


def cast(clients: int, conversations: int, nodes: int, seed: int) -> Cast:
    """The same for the same seed. Every client is in a conversation, and every conversation has
    people on every node, as far as there are enough."""
    chance = random.Random(seed)
    users = max(1, clients * TWO_DEVICES // (TWO_DEVICES + 1))
    size = min(users, max(2 * nodes, users // MEMBERS_IN))
    rooms = []
    for number in range(conversations):
        members = set(chance.sample(range(users), size))
        members |= set(range(number, users, conversations))  # so that nobody is left out
        members |= set(range(min(nodes, users)))  # and no node
        rooms.append(sorted(members))
    parts = []
    for number in range(clients):
        user = number % users
        # A user's second device begins one node further.
        home = (user + number // users) % nodes
        own = [index for index, members in enumerate(rooms) if user in members]
        parts.append(Part(f"c{number:02}", user, home, own))
    return Cast(users, rooms, parts)
