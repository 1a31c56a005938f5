"""What a token says of its holder."""

import pytest

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
