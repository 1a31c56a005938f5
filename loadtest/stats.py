"""Medians and percentiles."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from loadtest.report import Row

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

#: What must never happen: of several runs the worst counts, not the median.
FAULTS = {"lost", "doubled", "disordered_of_sampled", "connections_lost", "missing"}


def percentiles(seconds: Sequence[float], prefix: str) -> dict[str, float | None]:
    """p50 to p99.9 in milliseconds, under keys such as `ack_p99_ms`."""
    ordered = sorted(seconds)
    return {
        f"{prefix}_{name}_ms": (
            round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000, 3)
            if ordered
            else None
        )
        for name, part in PERCENTILES.items()
    }


def in_turn(names: Iterable[str], repeat: int, measure: Callable[[str], Row]) -> list[Row]:
    """Measure every server `repeat` times, alternating, so that a busy moment of the machine does
    not fall on one of them alone; a row of medians for each."""
    names = list(names)
    runs: dict[str, list[Row]] = {name: [] for name in names}
    for _ in range(repeat):
        for name in names:
            runs[name].append(measure(name))
    return [_median_row(rows) for rows in runs.values()]


def _median_row(rows: list[Row]) -> Row:
    """The median of each number, and of the rest what the first run says.

    What must be 0 is the worst of the runs instead.
    """
    row = dict(rows[0])
    for key, value in row.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            values = [run[key] for run in rows]
            row[key] = max(values) if key in FAULTS else median(values)
    return row
