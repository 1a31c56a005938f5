"""Revocations are stored once a subject, found by number, and swept."""

import threading
from collections.abc import Callable

from anmei.commands_tokens import RevokeTokens, SweepRevocations
from anmei.errors import ErrorCode
from db import queries
from db.store import Store
from tests.db.chat import NOW, create, do, reply, send

LATER = NOW + 60_000


def revoke(subject: str, before: int = 0, **more: int) -> RevokeTokens:
    more = {"created_at": NOW, "expires_at": LATER} | more
    return RevokeTokens(tenant="acme", subject=subject, before=before, **more)


def subjects(store: Store, after: int = 0) -> list[str]:
    found = store.read(queries.revocations_since, after, 1_000).result(60)
    return [one.subject for one in found]


def test_the_same_again_moves_forward_alone_and_has_a_number_of_its_own(store: Store) -> None:
    first = reply(store, revoke("user acme/ann", 50))
    earlier = reply(store, revoke("user acme/ann", 40, expires_at=NOW + 1))
    assert (earlier["before"], earlier["expires_at"]) == (50, LATER)
    later = reply(store, revoke("user acme/ann", 60))
    assert first["number"] < earlier["number"] < later["number"]
    (only,) = store.read(queries.revocations_since, first["number"], 9).result(60)
    assert (only.number, only.before) == (later["number"], 60)
    do(store, SweepRevocations(at=LATER))
    assert subjects(store) == []
    again = reply(store, revoke("user acme/ann"))
    assert again["number"] > later["number"], "a number that was given is never given again"


def test_a_tenant_has_room_for_so_many_and_what_has_expired_takes_none(store: Store) -> None:
    do(store, revoke("jti acme/old", expires_at=NOW))
    do(store, *[revoke(f"jti acme/{number}", most=2) for number in range(2)])
    (outcome,) = do(store, revoke("jti acme/2", most=2))
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.TOO_LARGE
    assert reply(store, revoke("jti acme/1", most=2))["subject"] == "jti acme/1"
    other = RevokeTokens("other", "jti other/1", 0, NOW, LATER, most=2)
    assert reply(store, other)["subject"] == "jti other/1"
    do(store, SweepRevocations(at=NOW))
    assert sorted(subjects(store)) == ["jti acme/0", "jti acme/1", "jti other/1"]


def test_a_list_is_paged_the_newest_first(store: Store) -> None:
    do(store, *[revoke(f"jti acme/{number}") for number in range(5)])
    do(store, revoke("jti acme/old", expires_at=NOW))
    do(store, RevokeTokens("other", "jti other/1", 0, NOW, LATER))
    seen, cursor = [], None
    while True:
        page, cursor = store.read(queries.revocations, "acme", NOW, cursor, 2).result(60)
        seen += [one.subject for one in page]
        if cursor is None:
            break
    assert seen == [f"jti acme/{number}" for number in (4, 3, 2, 1, 0)]


def test_whoever_follows_the_numbers_misses_none_that_commits_late(
    url: str, open_store: Callable[..., Store]
) -> None:
    """Several nodes write at once, in transactions with other work in them; one follows."""
    stores = [open_store(url, readers=1) for _ in range(3)]
    follower = open_store(url, readers=1)
    do(stores[0], create("room", "ann"))
    written = 25

    def write(node: int) -> None:
        for number in range(written):
            do(stores[node], send("room", "ann"), revoke(f"jti acme/{node}-{number}"))

    threads = [threading.Thread(target=write, args=(node,)) for node in range(3)]
    for thread in threads:
        thread.start()
    seen, last = [], 0
    while True:
        writing = any(thread.is_alive() for thread in threads)
        found = follower.read(queries.revocations_since, last, 7).result(60)
        seen += [one.subject for one in found]
        last = found[-1].number if found else last
        if not writing and not found:
            break
    assert len(seen) == len(set(seen)) == 3 * written
