"""The pure core of Anmei: its vocabulary and its rules.

Nothing here knows of asyncio, Tornado, Redis or a database, so every rule can be read and
tested alone. `db`, `actors` and `handlers` stand on this package; it stands on none of them.
"""

__version__ = "0.1.0"
