"""Compare: this server beside its peers, and each line of the budget: holds or does not hold.

A line without a limit is there to be seen, and is only shown.

Every measure that is a ratio is taken three times, the servers in turn, and the medians count.
Takes less than ten minutes on two cores. Ends with status 1 when a line does not hold.
"""

import argparse
import sys
import time
from collections.abc import Callable

from loadtest import echo, fanout, fleet, floor, idle, ingest, storm
from loadtest.api import ApiError
from loadtest.budget import BUDGET, SHOWN, Measured
from loadtest.device import SwarmError
from loadtest.progress import Progress
from loadtest.report import Report, Row
from loadtest.server import ServerError
from loadtest.stats import in_turn

COLUMNS = {
    "work": "work",
    "of": "what",
    "required": "required",
    "measured": "measured",
    "verdict": "verdict",
}

PAIR = ("anmei", "socketio")
#: Of the fan-out at a fixed pace: characters of a message, and messages/s. The second pace is one
#: that every server which is measured so can keep up with 5,000 devices.
BYTES, RATE, STEADY_RATE = 240, 100, 15
#: Of the others.
MESSAGE_BYTES = 120
BURST = 10
CLIENT_LIMIT = 0.95


class Comparison:
    """Runs the parts one after another and keeps what the budget asks for."""

    def __init__(self, repeat: int, progress: Progress):
        self.measured: Measured = {}
        self.rows: list[Row] = []
        self._repeat = repeat
        self._progress = progress

    def run(self) -> None:
        """All parts; one that fails is said and left out."""
        for part in (
            *(self._floor, self._fanout, self._lockstep, self._bursts),
            *(self._large, self._steady, self._floor),
            *(self._echo, self._idle, self._ingest, self._storm),
        ):
            began = time.monotonic()
            try:
                part()
            except (ApiError, ServerError, SwarmError) as error:
                self._progress.end()
                print(f"{part.__name__.strip('_')} failed: {error}", file=sys.stderr)
            self._progress.begin(f"that took {time.monotonic() - began:.0f} s")

    def _floor(self) -> None:
        cost = floor.bare_send_us()
        print(f"one bare send() of {floor.BYTES} bytes takes {cost:.1f} µs of CPU here now; no "
              "delivery can take less", flush=True)  # fmt: skip
        self.rows.append({"part": "floor", "bare_send_us": cost})
        self.measured["floor"] = cost

    def _fanout(self) -> None:
        def one(name: str) -> Row:
            return fanout.measure(name, 1_000, 200, BYTES, RATE, self._progress)

        self._beside("fanout", fanout.COLUMNS, fleet.NAMES, one, "cpu_us")

    def _lockstep(self) -> None:
        def one(name: str) -> Row:
            return fanout.measure(name, 1_000, 200, MESSAGE_BYTES, 0, self._progress)

        self._beside("lockstep", fanout.COLUMNS, fleet.NAMES, one, "cpu_us")

    def _bursts(self) -> None:
        def one(name: str) -> Row:
            return fanout.measure(name, 1_000, 400, MESSAGE_BYTES, 0, self._progress, burst=BURST)

        self._beside("bursts", fanout.COLUMNS, PAIR, one, "cpu_us")

    def _large(self) -> None:
        def one(name: str) -> Row:
            return fanout.measure(name, 5_000, 100, BYTES, RATE, self._progress)

        self._beside("large", fanout.COLUMNS, PAIR, one, "cpu_us")

    def _steady(self) -> None:
        def one(name: str) -> Row:
            return fanout.measure(name, 5_000, 75, BYTES, STEADY_RATE, self._progress)

        self._beside("steady", fanout.COLUMNS, PAIR, one, "cpu_us")

    def _echo(self) -> None:
        def one(name: str) -> Row:
            return echo.measure(name, 100, 30_000, self._progress)

        self._beside("echo", echo.COLUMNS, fleet.NAMES, one, "cpu_us")

    def _idle(self) -> None:
        def one(name: str) -> Row:
            return idle.measure(name, 2_000, self._progress)

        self._beside("idle", idle.COLUMNS, PAIR, one, "kb")

    def _ingest(self) -> None:
        grouped = ingest.measure("postgresql", True, 200, 10, True, self._progress)
        self.measured["ingest rate"] = grouped["per_s"]
        self.measured["ingest p99"] = max(grouped["ack_p99_80_ms"], grouped["receive_p99_80_ms"])
        self.measured["ingest faults"] = grouped["lost"] + grouped["doubled"]
        single = ingest.measure("postgresql", False, 200, 8, False, self._progress)
        self.measured["ingest single"] = single["per_s"]
        self._keep("ingest", ingest.COLUMNS, [grouped, single])

    def _storm(self) -> None:
        row = storm.measure("sqlite", 10_000, 20, self._progress)
        self.measured["storm seconds"] = row["since_kill_s"]
        self.measured["storm faults"] = row["lost"] + row["doubled"]
        self._keep("storm", storm.COLUMNS, [row])

    def _beside(
        self,
        part: str,
        columns: dict[str, str],
        names: tuple[str, ...],
        measure: Callable[[str], Row],
        key: str,
    ) -> None:
        rows = in_turn(names, self._repeat, measure)
        for name, row in zip(names, rows, strict=True):
            self.measured[f"{part} {name}"] = row[key]
        if "lost" in rows[0]:
            faults = rows[0]["lost"] + rows[0]["doubled"] + rows[0]["disordered_of_sampled"]
            self.measured["fanout faults"] = self.measured.get("fanout faults", 0) + faults
        self._keep(part, columns, rows)

    def _keep(self, part: str, columns: dict[str, str], rows: list[Row]) -> None:
        self._progress.end()
        print(f"\n{part}\n\n{Report(part, part, rows, columns).table()}\n", flush=True)
        for row in rows:
            if row.get("client_busy", 0) > CLIENT_LIMIT:
                print(f"{row.get('server', part)}: the client was busy all the time; rates may be "
                      "its own limit, CPU figures are not")  # fmt: skip
        self.rows += [{"part": part, **row} for row in rows]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=int, default=3)


def run(options: argparse.Namespace, progress: Progress) -> Report:
    comparison = Comparison(options.repeat, progress)
    began = time.monotonic()
    comparison.run()
    rows = [line.judge(comparison.measured) for line in BUDGET]
    title = f"Budget, measured in {time.monotonic() - began:.0f} s"
    return Report(
        "compare",
        title,
        rows,
        COLUMNS,
        details=comparison.rows,
        passed=all(row["verdict"] in ("holds", SHOWN) for row in rows),
    )
