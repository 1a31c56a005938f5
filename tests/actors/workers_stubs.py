"""Runs two stubs as workers: `workers_stubs.py DRAIN_SECONDS BEHAVIOUR…`, see `worker_stub`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from actors.workers import Workers
from anmei.logs import set_up_logs
from anmei.settings import Settings

set_up_logs(Settings())
command = [sys.executable, str(Path(__file__).with_name("worker_stub.py")), *sys.argv[2:]]
workers = Workers(command, [[], []], float(sys.argv[1]))
sys.exit(workers.run(lambda: print("all serve", flush=True)))
