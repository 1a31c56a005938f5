"""What a process costs, and which processes belong to it."""

import os
import subprocess
import sys

from loadtest.process import Cost, descendants


def test_the_processes_that_one_has_started_are_found_with_theirs():
    code = (
        "import subprocess as s; p = s.Popen(['sleep', '99']); print(p.pid, flush=True); p.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    try:
        assert descendants(parent.pid) == [parent.pid, child]
        assert {parent.pid, child} <= set(descendants(os.getpid()))
        assert Cost(parent.pid).cpu() > 0
    finally:
        parent.kill()
        os.kill(child, 9)
        parent.wait()
        parent.stdout.close()
