"""Percentiles, and medians of runs in turn."""

from loadtest.stats import in_turn, percentiles


def test_percentiles_are_those_of_the_sorted_times_in_milliseconds():
    times = [index / 1000 for index in reversed(range(1, 1001))]
    assert percentiles(times, "ack") == {
        "ack_p50_ms": 501.0,
        "ack_p95_ms": 951.0,
        "ack_p99_ms": 991.0,
        "ack_p99.9_ms": 1000.0,
    }


def test_without_times_there_are_no_percentiles():
    assert set(percentiles([], "x").values()) == {None}


def test_servers_alternate_and_medians_count_but_faults_are_the_worst():
    calls = []

    def measure(name):
        calls.append(name)
        return {"server": name, "cpu_us": float(len(calls)), "lost": int(len(calls) == 1)}

    rows = in_turn(["a", "b"], 3, measure)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert rows == [
        {"server": "a", "cpu_us": 3.0, "lost": 1},
        {"server": "b", "cpu_us": 4.0, "lost": 0},
    ]
