"""A user may ask so often, and a backend as often as it needs."""

import asyncio
import time

import pytest

from anmei.errors import AnmeiError, ErrorCode
from anmei.principal import Principal
from handlers.request_limit import RequestLimit
from tests.handlers.api_routes import check_error
from tests.support.http import Http

UNREAD = "/api/v1/unread"


class Clock:
    """All that is asked of a loop: the time, which here stands still."""

    def time(self) -> float:
        return 0.0


def principal(user: str, role: str = "user", tenant: str = "default") -> Principal:
    return Principal(tenant, user, frozenset({role}), user, 0)


def passes(limit: RequestLimit, who: Principal) -> bool:
    try:
        limit.take(who)
    except AnmeiError as error:
        return error.code is not ErrorCode.RATE_LIMITED
    return True


def test_each_user_of_each_tenant_has_a_bucket() -> None:
    limit = RequestLimit(1, 2, Clock())
    alice = principal("alice")
    assert [passes(limit, alice) for _ in range(3)] == [True, True, False]
    assert passes(limit, principal("bob"))
    assert passes(limit, principal("alice", tenant="other"))
    assert not passes(limit, alice)


@pytest.mark.parametrize("role", ["service", "admin"])
def test_who_acts_for_many_is_not_limited(role) -> None:
    limit = RequestLimit(1, 1, Clock())
    assert all(passes(limit, principal("backend", role)) for _ in range(10))
    assert len(limit) == 0


def test_a_rate_of_nothing_is_no_limit() -> None:
    limit = RequestLimit(0, 1, Clock())
    assert all(passes(limit, principal("alice")) for _ in range(10))


def test_the_least_recent_users_are_forgotten() -> None:
    limit = RequestLimit(1, 1, Clock(), users=2)
    assert passes(limit, principal("alice"))
    assert passes(limit, principal("bob"))
    assert not passes(limit, principal("alice"))
    assert passes(limit, principal("carol"))
    assert len(limit) == 2
    assert not passes(limit, principal("alice"))
    assert passes(limit, principal("bob"))


async def test_over_http_it_is_a_429_that_says_when(anmei) -> None:
    server = anmei({"ANMEI_LIMIT_REQUESTS_PER_SECOND": "1", "ANMEI_LIMIT_REQUESTS_BURST": "5"})
    alice = Http(server.url, server.token("alice"))
    backend = Http(server.url, server.token("backend", roles=["service"]))
    began = time.monotonic()
    answers = await asyncio.gather(*(alice.get(UNREAD) for _ in range(40)))
    refused = [answer for answer in answers if answer.status != 200]
    # Five at once, and one for each second that a slow machine took for all of them.
    assert 34 - (time.monotonic() - began) <= len(refused) <= 35
    for answer in refused:
        assert check_error(answer, 429, "rate_limited")["retry_after_ms"] > 0
        assert int(answer.headers["Retry-After"]) >= 1
    for _ in range(20):
        assert (await backend.get(f"{UNREAD}?user_id=alice")).status == 200
    alice.close()
    backend.close()
