"""Keys that tokens are checked with, as settings and key sets bring them."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import OKPAlgorithm

from anmei.keys import BadKeys, Keys
from anmei.tokens import TokenVerifier
from tests.anmei.token_kit import (
    EC_KEY,
    ED_KEY,
    NOW,
    PRIVATE,
    RSA_KEY,
    RULES,
    SECRET,
    assert_refused,
    b64,
    jwk,
    pem,
    signed_by,
)


@pytest.mark.parametrize(
    ("text", "algorithm", "words"),
    [
        (pem(RSA_KEY), "EdDSA", "JWT_ALGORITHM=RS256"),
        (pem(ED_KEY), "RS256", "JWT_ALGORITHM=EdDSA"),
        (pem(EC_KEY), "RS256", "JWT_ALGORITHM=ES256"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "ES256", "P-256"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "RS256", "PEM"),
        ("", "RS256", "PEM"),
        ("-----BEGIN PRIVATE KEY-----", "RS256", "private key"),
        ("-----BEGIN CERTIFICATE-----", "RS256", "certificate"),
        (pem(RSA_KEY), "HS256", "takes no public key"),
    ],
)
def test_a_public_key_that_does_not_fit_is_refused_with_the_reason(
    text: str, algorithm: str, words: str
) -> None:
    with pytest.raises(BadKeys, match=words):
        Keys.from_pem(text, algorithm)


def test_a_small_rsa_key_is_refused() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(BadKeys, match="1024 bits"):
        Keys.from_pem(pem(small), "RS256")
    with pytest.raises(BadKeys, match="none of the 1 keys"):
        Keys.from_jwks({"keys": [jwk("RS256", small)]}, "RS256")


def test_a_public_key_may_be_written_on_one_line() -> None:
    keys = Keys.from_pem(pem(ED_KEY).replace("\n", "\\n"), "EdDSA")
    assert TokenVerifier(keys, RULES).verify(signed_by("EdDSA"), NOW).user_id == "alice"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_set_is_searched_for_the_keys_that_serve(algorithm: str) -> None:
    listed = [
        None,
        "x",
        {"kty": "oct", "k": b64(SECRET.encode())},
        *(jwk(other, kid="one") for other in PRIVATE if other != algorithm),
        jwk(algorithm, kid="enc", use="enc"),
        jwk(algorithm, kid="ops", key_ops=["sign"]),
        jwk(algorithm, kid="alg", alg="PS256"),
        jwk(algorithm, kid=7),
        {**jwk(algorithm), "n": "!", "x": [], "kid": "broken"},
        jwk(algorithm, kid="good", use="sig", alg=algorithm, key_ops=["verify"]),
    ]
    verifier = TokenVerifier(Keys.from_jwks({"keys": listed}, algorithm), RULES)
    assert verifier.verify(signed_by(algorithm, kid="good"), NOW).user_id == "alice"
    assert verifier.verify(signed_by(algorithm), NOW).user_id == "alice"
    for kid in ("one", "enc", "ops", "alg", "broken"):
        assert_refused(verifier, signed_by(algorithm, kid=kid), "kid")


@pytest.mark.parametrize(
    "document", [None, [], "x", {}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [{}] * 65}]
)
def test_a_key_set_that_serves_nothing_is_refused(document: object) -> None:
    with pytest.raises(BadKeys, match="key"):
        Keys.from_jwks(document, "RS256")


def test_a_key_set_that_publishes_a_private_key_is_refused() -> None:
    with pytest.raises(BadKeys, match="private key"):
        Keys.from_jwks({"keys": [OKPAlgorithm.to_jwk(ED_KEY, as_dict=True)]}, "EdDSA")
