"""Times are written in UTC with milliseconds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei.clock import from_wire, now_ms, to_wire


@given(st.integers(0, 4_102_444_800_000))
def test_a_time_is_written_so_that_it_can_be_read_back(ms):
    text = to_wire(ms)
    assert text.endswith("Z")
    read = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert round(read.timestamp() * 1000) == ms
    assert from_wire(text) == ms


def test_now_is_now():
    assert abs(now_ms() / 1000 - datetime.now(UTC).timestamp()) < 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-02",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.678+01:00",
        "2026-13-02T03:04:05.678Z",
        "2026-01-02 03:04:05.678Z",
    ],
)
def test_what_is_no_such_time_is_refused(text):
    with pytest.raises(ValueError, match="time|isoformat|month"):
        from_wire(text)
