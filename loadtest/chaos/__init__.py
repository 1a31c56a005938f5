"""Chaos: people talk while everything breaks; then every message is accounted for.

Without --url it starts nodes, PostgreSQL and (for more than one node) Redis of its own, and breaks
something every five seconds. With --url it uses a deployment that is there, as its clients alone
see it: it cuts, stalls and storms, and you may break the rest by hand meanwhile. In the end every
message must be stored once and have been shown once, in one order, to every client.
"""

from loadtest.chaos.scenario import add_arguments, run

__all__ = ["add_arguments", "run"]
