"""Short ways to say what the tests of search say often."""

from typing import Any

from anmei.search_terms import read_terms
from db import queries, search_index
from db.store import Store
from tests.db.chat import key


def index(store: Store, batch: int = 100) -> int:
    """Brings the index up to date, as the indexer does; how many messages were entered."""
    entered = 0
    horizon = None
    while True:
        found = store.read(search_index.pending, horizon, batch).result(60)
        horizon = found.horizon
        if not found.empty:
            assert store.aside(search_index.write, found).result(60)
            entered += len(found.rows)
        if not found.more and horizon is None:
            assert store.read(search_index.up_to_date).result(60)
            return entered


def look(
    store: Store,
    user: str,
    q: str = "",
    *,
    cursor: str | None = None,
    limit: int = 20,
    timeout_ms: int = 20_000,
    **more: Any,
) -> dict[str, Any]:
    wanted = queries.Wanted(terms=read_terms(q), **more)
    return store.read(queries.search, key(user), wanted, cursor, limit, timeout_ms).result(60)


def contents(found: dict[str, Any]) -> list[str]:
    return [result["message"]["content"] for result in found["results"]]
