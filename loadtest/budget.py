"""The ratios that this server must reach, and whether a run reached them."""

from collections.abc import Callable
from dataclasses import dataclass

#: The verdict on a line without a limit.
SHOWN = "shown"

#: What was measured, by name: see `compare.py`. A part that failed is not in it.
Measured = dict[str, float]


@dataclass(frozen=True)
class Line:
    """One requirement: `figure` of what was measured must be at most, or at least, `limit`.
    Without a limit the figure is only shown."""

    work: str
    of: str
    figure: Callable[[Measured], float]
    limit: float | None = None
    at_most: bool = True

    def judge(self, measured: Measured) -> dict[str, object]:
        """A row of the table."""
        sign = "≤" if self.at_most else "≥"
        row: dict[str, object] = {
            "work": self.work,
            "of": self.of,
            "required": None if self.limit is None else f"{sign} {self.limit:,g}",
        }
        try:
            value = self.figure(measured)
        except (KeyError, ZeroDivisionError):
            return {**row, "measured": None, "verdict": "not measured"}
        if self.limit is None:
            return {**row, "measured": value, "verdict": SHOWN}
        holds = value <= self.limit if self.at_most else value >= self.limit
        return {**row, "measured": value, "verdict": "holds" if holds else "does not hold"}


def ratio(above: str, below: str) -> Callable[[Measured], float]:
    return lambda measured: measured[above] / measured[below]


def value(name: str) -> Callable[[Measured], float]:
    return lambda measured: measured[name]


FANOUT = "fan-out, CPU a delivery, 100 messages/s to 1,000 devices"
FANOUT_LARGE = "fan-out, CPU a delivery, 100 messages/s to 5,000 devices"
BURSTS = "fan-out, CPU a delivery, 1,000 devices, ten messages at a time"
STEADY_LARGE = "fan-out, CPU a delivery, 15 messages/s to 5,000 devices"
LOCKSTEP = "fan-out, CPU a delivery, 1,000 devices, one message at a time"
INGEST = "durable messages, 200 senders, PostgreSQL"
STORM = "10,000 devices lost at once"

BUDGET = (
    Line(FANOUT, "× Node socket.io", ratio("fanout anmei", "fanout socketio"), 0.40),
    Line(FANOUT, "× python-socketio", ratio("fanout anmei", "fanout python-socketio"), 0.15),
    Line(FANOUT_LARGE, "× Node socket.io", ratio("large anmei", "large socketio"), 0.40),
    Line(FANOUT_LARGE, "× our own at 1,000", ratio("large anmei", "fanout anmei"), 1.6),
    Line(BURSTS, "× Node socket.io", ratio("bursts anmei", "bursts socketio"), 0.40),
    # Where nothing can leave together, every delivery of every server is a `send` of its own.
    Line(STEADY_LARGE, "× Node socket.io", ratio("steady anmei", "steady socketio")),
    Line(LOCKSTEP, "× Node socket.io", ratio("lockstep anmei", "lockstep socketio")),
    Line(LOCKSTEP, "× python-socketio", ratio("lockstep anmei", "lockstep python-socketio")),
    Line(LOCKSTEP, "bare send × Node socket.io", ratio("floor", "lockstep socketio")),
    Line("fan-out, all of these", "lost or doubled", value("fanout faults"), 0),
    Line(
        "small frame in and reply out, CPU",
        "× Node socket.io",
        ratio("echo anmei", "echo socketio"),
        1.0,
    ),
    Line(INGEST, "messages/s", value("ingest rate"), 5_000, at_most=False),
    Line(INGEST, "× one commit a message", ratio("ingest rate", "ingest single"), 5, at_most=False),
    Line(INGEST, "p99 at 80 %, ms", value("ingest p99"), 60),
    Line(INGEST, "lost or doubled", value("ingest faults"), 0),
    Line(
        "resident memory an idle device",
        "× Node socket.io",
        ratio("idle anmei", "idle socketio"),
        1.0,
    ),
    Line(STORM, "s from the kill to all synced", value("storm seconds"), 30),
    Line(STORM, "lost or doubled", value("storm faults"), 0),
)
