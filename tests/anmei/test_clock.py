"""Times are written in UTC with milliseconds."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from anmei.clock import now_ms, to_wire


@given(st.integers(0, 4_102_444_800_000))
def test_a_time_is_written_so_that_it_can_be_read_back(ms):
    text = to_wire(ms)
    assert text.endswith("Z")
    read = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert round(read.timestamp() * 1000) == ms


def test_now_is_now():
    assert abs(now_ms() / 1000 - datetime.now(UTC).timestamp()) < 5
