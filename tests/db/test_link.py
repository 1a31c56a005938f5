"""What is kept in memory of the statements that went over a connection."""

import tracemalloc
from pathlib import Path

from db.link import Link, fetch_many

KEYS = [f"acme/{number}" for number in range(2_500)]


def test_statements_of_very_many_values_are_not_kept(tmp_path: Path) -> None:
    link = Link(f"sqlite:///{tmp_path}/a.db", 5_000)
    assert fetch_many(link.database, "SELECT 1 WHERE 'a' IN ({values})", KEYS) == []
    tracemalloc.start()
    for count in range(2_000, 2_500):
        assert fetch_many(link.database, "SELECT 1 WHERE 'a' IN ({values})", KEYS[:count]) == []
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    link.drop()
    # The driver keeps the last 128 of each connection.
    assert kept < 128 * 10_000
