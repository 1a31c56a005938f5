"""A bucket allows a burst, then a rate."""

import pytest

from anmei.bucket import Bucket


def test_a_burst_passes_and_then_the_rate():
    bucket = Bucket(10, 3, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.1) == 0.0
    assert bucket.take(0.1) > 0.0


def test_what_costs_more_takes_more_and_never_more_than_a_full_bucket():
    bucket = Bucket(10, 3, now=0.0)
    assert bucket.take(0.0, 2) == 0.0
    assert bucket.take(0.0, 2) == pytest.approx(0.1)
    assert bucket.take(0.1, 2) == 0.0
    assert bucket.take(0.1, 64) == pytest.approx(0.3)
    assert bucket.take(0.4, 64) == 0.0
    assert bucket.take(0.4) == pytest.approx(0.1)


def test_a_rest_fills_it_no_higher_than_the_burst():
    bucket = Bucket(10, 3, now=0.0)
    assert [bucket.take(100.0) == 0.0 for _ in range(4)] == [True, True, True, False]


def test_a_rate_of_nothing_is_no_limit():
    bucket = Bucket(0, 1, now=0.0)
    assert not any(bucket.take(0.0) for _ in range(1_000))


def test_what_is_owed_is_paid_back_before_anything_is_given():
    bucket = Bucket(10, 20, now=0.0)
    bucket.owe(0.0, 25)
    assert bucket.take(0.0) == pytest.approx(0.6)
    assert bucket.take(0.6) == 0.0
    bucket.owe(0.6, 1_000)
    assert bucket.take(0.6) == pytest.approx(2.1), "no more is owed than a whole burst"
    assert bucket.take(2.7) == 0.0
