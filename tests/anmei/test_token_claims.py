"""What a token says: of its holder, of whom it is from and for, and of its time."""

import json

import pytest

from anmei.tokens import TokenRules
from tests.anmei.token_kit import (
    NOW,
    OLD_SECRET,
    assert_refused,
    claims,
    hs256,
    with_claims,
    written,
)


@pytest.mark.parametrize(
    "user_id", ["", "a/b", "*", "a b", "a\n", "\ud800", "a\0", "x" * 129, 7, True, None, ["a"], ...]
)
def test_sub_is_an_id(user_id: object) -> None:
    assert_refused(hs256(), with_claims(sub=user_id), "sub")


@pytest.mark.parametrize("tenant", ["", "a/b", "default\n", "*", 1, None, ["default"]])
def test_tenant_is_an_id(tenant: object) -> None:
    assert_refused(hs256(), with_claims(tenant=tenant), "tenant")


@pytest.mark.parametrize(
    ("given", "roles"),
    [
        (["admin"], {"admin"}),
        ("service", {"service"}),
        (["editor", "service"], {"service"}),
        (["editor"], {"user"}),
        (["Admin", "admin "], {"user"}),
        ([], {"user"}),
    ],
)
def test_roles_that_are_unknown_are_passed_over(given: object, roles: set[str]) -> None:
    assert hs256().verify(with_claims(roles=given), NOW).roles == roles


@pytest.mark.parametrize("roles", [None, 1, {"admin": True}, [["admin"]], ["admin", 1]])
def test_roles_are_a_list_of_strings(roles: object) -> None:
    assert_refused(hs256(), with_claims(roles=roles), "roles")


@pytest.mark.parametrize(
    "name", ["x" * 129, "a\nb", "\x1b[2J", "a\0", "\ud800", "\u202eevil", 1, ["a"], {}]
)
def test_names_are_printable(name: object) -> None:
    assert_refused(hs256(), with_claims(name=name), "name")


@pytest.mark.parametrize("name", [..., None, "", "  "])
def test_who_has_no_name_is_called_by_id(name: object) -> None:
    assert hs256().verify(with_claims(name=name), NOW).name == "alice"


@pytest.mark.parametrize("name", ["张伟", "👩‍👩‍👧", "x" * 128, "O'Brien <b>"])
def test_names_are_of_any_script(name: str) -> None:
    assert hs256().verify(with_claims(name=name), NOW).name == name


@pytest.mark.parametrize("token_id", ["", "x" * 129, "a\nb", 1, ["a"]])
def test_jti_is_a_short_text(token_id: object) -> None:
    assert_refused(hs256(), with_claims(jti=token_id), "jti")


@pytest.mark.parametrize(
    "body", ["", "[]", "null", '"x"', "{", "{}x", "\ufeff{}", "[" * 3000, '{"a":' * 1000]
)
def test_claims_are_one_json_object(body: str) -> None:
    assert_refused(hs256(), written({"alg": "HS256"}, body))


def test_claims_are_not_looked_at_before_the_signature_holds() -> None:
    token = written({"alg": "HS256"}, claims(exp=1), OLD_SECRET.encode())
    assert_refused(hs256(), token, "signature")


# Attack 24


@pytest.mark.parametrize(
    "issuer", ["goo", "good ", "Good", "https://good", ["good"], "", None, ...]
)
def test_iss_is_exactly_the_expected_one(issuer: object) -> None:
    verifier = hs256(TokenRules(issuer="good"))
    assert verifier.verify(with_claims(iss="good"), NOW).user_id == "alice"
    assert_refused(verifier, with_claims(iss=issuer), "iss", "'good'")


@pytest.mark.parametrize(
    "audience",
    ["anme", "anmei2", "anmei other", [], ["other"], [["anmei"]], ["anmei", 1], {"anmei": 1}, ...],
)
def test_aud_is_or_contains_exactly_the_expected_one(audience: object) -> None:
    verifier = hs256(TokenRules(audience="anmei"))
    for good in ("anmei", ["anmei"], ["other", "anmei"]):
        assert verifier.verify(with_claims(aud=good), NOW).user_id == "alice"
    assert_refused(verifier, with_claims(aud=audience), "aud", "'anmei'")


def test_iss_and_aud_are_not_checked_where_they_are_not_set() -> None:
    assert hs256().verify(with_claims(iss="x", aud="y"), NOW).user_id == "alice"


# Attack 26


def test_a_token_without_exp_is_refused() -> None:
    assert_refused(hs256(), with_claims(exp=...), "no exp")


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value", ["9" * 400, "9" * 5000, "NaN", "Infinity", "1e999", "true", "-1", "null", '"1"', "[1]"]
)
def test_times_are_numbers_within_range(name: str, value: str) -> None:
    rest = json.dumps(claims(**{name: ...}))
    body = f'{rest[:-1]}, "{name}": {value}}}'
    assert_refused(hs256(), written({"alg": "HS256"}, body))


def test_a_token_ends_at_its_exp_and_the_leeway() -> None:
    verifier, token = hs256(), with_claims(exp=int(NOW) - 4)
    assert verifier.verify(token, NOW).user_id == "alice"
    assert_refused(verifier, with_claims(exp=int(NOW) - 5), "expired 5 s ago")
    assert_refused(hs256(TokenRules(leeway=0)), with_claims(exp=int(NOW)), "expired")


def test_a_token_may_not_outlive_the_longest_lifetime() -> None:
    month = 30 * 86_400
    assert hs256().verify(with_claims(exp=int(NOW) + month + 5), NOW).user_id == "alice"
    assert_refused(hs256(), with_claims(exp=int(NOW) + month + 6), "JWT_MAX_LIFETIME")


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_a_token_from_the_future_is_refused(name: str) -> None:
    assert hs256().verify(with_claims(**{name: NOW + 4.5}), NOW).user_id == "alice"
    assert_refused(hs256(), with_claims(**{name: int(NOW) + 6}), name, "6 s in the future")
