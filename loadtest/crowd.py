"""Locust: made-up people who chat, over WebSocket and HTTP, against a server started for it.

Runs `loadtest/locustfile.py` headless and leaves its CSV files and HTML page in
`loadtest/results/`. Against another server, run locust itself: see the file.
"""

import argparse
import os
import subprocess
import sys
import time

from loadtest import fleet
from loadtest.progress import Progress
from loadtest.report import RESULTS, Report
from loadtest.server import ROOT, ServerError

STOP_SECONDS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--spawn-rate", type=float, default=50, help="new users a second")
    parser.add_argument("--seconds", type=int, default=30)


def run(options: argparse.Namespace, progress: Progress) -> Report:
    progress.begin(f"locust, {options.users} users for {options.seconds} s")
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"locust-{time.strftime('%Y%m%d-%H%M%S')}"
    with fleet.product() as product:
        command = [
            *(sys.executable, "-m", "locust", "-f", ROOT / "loadtest" / "locustfile.py"),
            *("--headless", "--only-summary", "-H", f"http://127.0.0.1:{product.server.port}"),
            *("-u", str(options.users), "-r", str(options.spawn_rate)),
            *("-t", f"{options.seconds}s", "--csv", stem, "--html", stem.with_suffix(".html")),
        ]
        environment = {**os.environ, "JWT_SECRET": product.secret}
        try:
            result = subprocess.run(
                command,
                env=environment,
                timeout=options.seconds + STOP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServerError(f"locust did not end in {options.seconds + STOP_SECONDS} s") from None
    rows = [{"users": options.users, "seconds": options.seconds, "failures": result.returncode}]
    return Report(
        "locust-run",
        f"Locust: {stem.name}_stats.csv and {stem.name}.html hold the figures",
        rows,
        {"users": "users", "seconds": "seconds", "failures": "exit status of locust"},
        passed=result.returncode == 0,
    )
