"""What a revocation covers."""

import pytest

from anmei.principal import Principal
from anmei.revocation import Revocation, RevokedTokens, token_subject, user_subject

MOMENT = 1_767_323_045_500  # ms


def principal(**changes: object) -> Principal:
    values = {
        "tenant": "acme",
        "user_id": "alice",
        "roles": frozenset({"user"}),
        "name": "Alice",
        "expires_at": 1_767_400_000,
        "token_id": "t/1",
        "issued_at": 1_767_323_045.499,
    }
    return Principal(**values | changes)


def revocation(subject: str, before: int = 0, *, number: int = 1, until: int = 0) -> Revocation:
    return Revocation(number, subject, before, MOMENT, until or MOMENT + 1_000)


def test_one_token_is_revoked_by_its_id_and_in_its_tenant_alone() -> None:
    revoked = RevokedTokens()
    assert not revoked.covers(principal())
    assert revoked.add([revocation(token_subject("acme", "t/1"))])
    assert revoked.covers(principal())
    for other in ({"token_id": "t/2"}, {"token_id": None}, {"tenant": "other"}):
        assert not revoked.covers(principal(**other))


@pytest.mark.parametrize(
    ("issued_at", "covered"),
    [(1_767_323_045.499, True), (1_767_323_045.5, False), (1_767_323_046, False), (None, True)],
)
def test_a_users_tokens_are_revoked_up_to_the_moment(issued_at, covered) -> None:
    revoked = RevokedTokens()
    revoked.add([revocation(user_subject("acme", "alice"), MOMENT)])
    assert revoked.covers(principal(issued_at=issued_at)) is covered
    assert not revoked.covers(principal(user_id="bob"))
    assert not revoked.covers(principal(tenant="other"))


def test_a_token_and_a_user_of_the_same_name_are_two_things() -> None:
    revoked = RevokedTokens()
    revoked.add([revocation(token_subject("acme", "alice"))])
    assert not revoked.covers(principal())
    assert revoked.covers(principal(user_id="bob", token_id="alice"))


def test_in_whatever_order_they_come_and_how_often_the_furthest_holds() -> None:
    subject = user_subject("acme", "alice")
    early, late = revocation(subject, MOMENT - 1_000), revocation(subject, MOMENT, number=2)
    for order in ([early, late, early, late], [late, early], [late, late]):
        revoked = RevokedTokens()
        for each in order:
            revoked.add([each])
        assert revoked.covers(principal())
        assert len(revoked) == 1
    assert revoked.add([late, early]) == []


def test_what_has_expired_is_forgotten() -> None:
    revoked = RevokedTokens()
    revoked.add([revocation(token_subject("acme", "t/1"), until=MOMENT + 5)])
    assert (revoked.sweep(MOMENT + 4), len(revoked)) == (0, 1)
    assert (revoked.sweep(MOMENT + 5), len(revoked)) == (1, 0)
    assert not revoked.covers(principal())


def test_it_is_shown_by_what_it_names() -> None:
    one = revocation(token_subject("acme", "t/1")).to_wire()
    assert (one["jti"], one["user_id"], one["before"]) == ("t/1", None, None)
    all_of_one = revocation(user_subject("acme", "alice"), MOMENT).to_wire()
    assert (all_of_one["jti"], all_of_one["user_id"]) == (None, "alice")
    assert all_of_one["before"] == "2026-01-02T03:04:05.500Z"
