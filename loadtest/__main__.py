"""The command line: `python -m loadtest SCENARIO`."""

import argparse
import gc
import os
import signal
import sys

from loadtest import (
    chaos,
    compare,
    crowd,
    echo,
    fanout,
    idle,
    ingest,
    latency,
    slow,
    storm,
    workers,
)
from loadtest.api import ApiError
from loadtest.chaos import recount
from loadtest.device import SwarmError
from loadtest.progress import Progress
from loadtest.server import ServerError

SCENARIOS = {
    "fanout": fanout,
    "echo": echo,
    "idle": idle,
    "ingest": ingest,
    "workers": workers,
    "latency": latency,
    "storm": storm,
    "slow": slow,
    "locust": crowd,
    "compare": compare,
    "chaos": chaos,
    "recount": recount,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    scenarios = parser.add_subparsers(dest="scenario", required=True, metavar="SCENARIO")
    for name, module in SCENARIOS.items():
        about = (module.__doc__ or "").strip()
        scenario = scenarios.add_parser(
            name,
            help=about.splitlines()[0],
            description=about,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        module.add_arguments(scenario)
    options = parser.parse_args(arguments)
    # So that a server under test is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cores = os.cpu_count() or 1
    if (load := os.getloadavg()[0]) > cores / 2:
        print(f"this machine is busy (load {load:.1f}, {cores} cores): believe ratios of CPU "
              "time, and no rate or waiting time", file=sys.stderr)  # fmt: skip
    # A pause of the client's collector would be taken for one of the server.
    gc.disable()
    progress = Progress()
    try:
        report = SCENARIOS[options.scenario].run(options, progress)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (ApiError, ServerError, SwarmError) as error:
        print(f"{options.scenario}: {error}", file=sys.stderr)
        return 1
    finally:
        progress.end()
    report.write()
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
