"""The chaos run as a tool: what it meets, what it finds, and what it leaves behind."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.child import Child
from tests.support.process import ROOT


def history(tmp_path: Path) -> list[dict]:
    (file,) = tmp_path.glob("chaos-*/history.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_no_process_behind(chaos, number):
    child = chaos("--nodes", "1", "--minutes", "5", "--faults", "clients cut")
    child.wait_for_line(r"1/\d+ clients cut")
    with contextlib.ExitStack() as last:
        left = {}
        for pid in descendants(child.pid):
            with contextlib.suppress(ProcessLookupError):
                left[pid] = os.pidfd_open(pid)
                last.callback(os.close, left[pid])
        assert len(left) > 3  # a node, PostgreSQL, and its own helpers
        child.signal(number)
        assert child.wait(60) != 0
        for pid, end in left.items():
            # Whoever has lost its parent ends by itself; its descriptor can be read then.
            assert select.select([end], [], [], 30)[0], f"{pid} of {list(left)} lives"


def descendants(pid: int) -> list[int]:
    """What a process has started, and what that has started, and so on."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    children = [child for child, parent in pairs if parent == pid]
    return children + [each for child in children for each in descendants(child)]


def test_a_deployment_that_is_there_is_met_as_its_clients_meet_it(chaos, anmei, tmp_path):
    node = anmei()
    secret = node.env["JWT_SECRET"]
    child = chaos("--url", node.url, "--secret", secret, "--minutes", "0.3", "--clients", "6")
    assert child.wait(110) == 0, child.log
    faults = {line["kind"] for line in history(tmp_path) if line["what"] == "fault"}
    assert faults
    assert faults <= {"clients cut", "clients stalled", "reconnect storm"}


def test_an_admins_token_is_enough_for_a_deployment_that_is_there(chaos, anmei, tmp_path):
    node = anmei()
    token = node.token("root", roles=["admin"])
    child = chaos("--url", node.url, "--token", token, "--minutes", "0.1", "--clients", "6")
    assert child.wait(110) == 0, child.log


def test_a_kind_of_fault_that_is_out_of_reach_is_refused(chaos, anmei):
    node = anmei()
    child = chaos("--url", node.url, "--secret", node.env["JWT_SECRET"], "--faults", "node killed")
    assert child.wait(60) == 1
    assert "cannot be done here: node killed" in child.log


@pytest.mark.parametrize(
    ("fault", "verdict"), [("lose", "lost"), ("double", "duplicate"), ("swap", "reordered")]
)
def test_what_goes_wrong_with_one_message_is_found(chaos, anmei, fault, verdict):
    node = anmei()
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    program = Path(__file__).with_name("liar.py")
    liar = Child([sys.executable, program, str(node.port), fault], env=env)
    try:
        port = liar.wait_for_line(r"listening at (\d+)")[1]
        url = f"http://127.0.0.1:{port}"
        secret = node.env["JWT_SECRET"]
        child = chaos("--url", url, "--secret", secret, "--minutes", "0.1", "--clients", "6")
        assert child.wait(110) == 1, child.log
    finally:
        liar.close()
    found = re.findall(r"^(\w+): c\d+: ", child.log, re.MULTILINE)
    assert found == [verdict], child.log
