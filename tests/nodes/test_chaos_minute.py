"""The chaos run, for a minute; `make chaos` takes ten."""

import re

import pytest

from tests.nodes.test_chaos import history


@pytest.mark.timeout(300)
def test_every_message_is_accounted_for_after_a_minute_in_which_everything_broke(chaos, tmp_path):
    """P1, P2, P3, P5, P6 (rows 1, 2, 4, 12, 13, 15, 16, 20, 22, 23, 24, 31): most kinds of faults
    once, on three nodes, and all is ok."""
    child = chaos("--minutes", "1")
    assert child.wait(280) == 0, child.log
    rows = re.findall(r"^\| (the store|c\d+) +\|(.*)\|$", child.log, re.MULTILINE)
    assert len(rows) == 31, child.log
    for _, row in rows:
        messages, ok, lost, duplicate, reordered, unexpected, unacknowledged, *_ = (
            int(cell.replace(",", "")) for cell in re.findall(r"\d[\d,]*", row)[:7]
        )
        assert messages == ok > 100
        assert (lost, duplicate, reordered, unexpected, unacknowledged) == (0, 0, 0, 0, 0)
    faults = {line["kind"] for line in history(tmp_path) if line["what"] == "fault"}
    assert len(faults) >= 8, faults
