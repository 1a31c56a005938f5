"""Who signed a token, by which key and algorithm, for whom and until when."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from anmei.errors import AnmeiError, ErrorCode
from anmei.keys import BadKeys, Keys, UnknownKey
from anmei.principal import Principal
from anmei.settings import Settings
from anmei.tokens import TokenRules, TokenSigner, TokenVerifier
from tests.anmei.token_kit import (
    EC_KEY,
    NOW,
    OLD_SECRET,
    PRIVATE,
    RSA_KEY,
    RULES,
    SECRET,
    assert_refused,
    b64,
    claims,
    hs256,
    jwk,
    pem,
    signed_by,
    with_claims,
    with_header,
    written,
)


def test_a_token_says_who_holds_it() -> None:
    token = with_claims(
        tenant="acme", roles=["user", "admin"], name="Alice Ångström", jti="t1", other={"a": [1]}
    )
    assert hs256().verify(token, NOW) == Principal(
        tenant="acme",
        user_id="alice",
        roles=frozenset({"user", "admin"}),
        name="Alice Ångström",
        expires_at=int(NOW) + 3600,
        token_id="t1",
        issued_at=int(NOW),
        shown_at=NOW,
    )


def test_sub_and_exp_are_enough() -> None:
    who = hs256().verify(with_claims(iat=...), NOW)
    assert (who.tenant, who.roles, who.name, who.token_id) == (
        "default",
        frozenset({"user"}),
        "alice",
        None,
    )


def test_a_token_of_another_library_is_read() -> None:
    assert hs256().verify(jwt.encode(claims(), SECRET, "HS256"), NOW).user_id == "alice"


def test_what_the_signer_makes_the_verifier_accepts() -> None:
    rules = TokenRules(issuer="us", audience="anmei")
    signer = TokenSigner(Keys.from_secrets([SECRET]), rules)
    token = signer.sign(
        "bob", tenant="acme", roles=["admin", "service"], name="Bob", ttl=60, now=NOW
    )
    who = hs256(rules).verify(token.text, NOW)
    assert (who.key, who.name, who.roles) == ("acme/bob", "Bob", frozenset({"admin", "service"}))
    assert who.expires_at == token.expires_at == int(NOW) + 60
    assert who.token_id is not None
    assert who.token_id.startswith("tok_")
    other = jwt.decode(
        token.text, SECRET, ["HS256"], audience="anmei", options={"verify_exp": False}
    )
    assert other["sub"] == "bob"


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_id": "a/b"},
        {"user_id": ""},
        {"tenant": "*"},
        {"roles": ["root"]},
        {"roles": []},
        {"name": "a\nb"},
        {"name": "x" * 129},
        {"ttl": 0},
        {"ttl": 31 * 86_400},
    ],
)
def test_the_signer_refuses_what_the_verifier_would(wrong: dict[str, Any]) -> None:
    signer = TokenSigner(Keys.from_secrets([SECRET]), RULES)
    with pytest.raises(AnmeiError) as caught:
        signer.sign(**{"user_id": "bob", "ttl": 60, "now": NOW, **wrong})
    assert caught.value.code is ErrorCode.BAD_REQUEST


def test_a_server_with_public_keys_says_that_another_server_signs() -> None:
    signer = TokenSigner(Keys.from_pem(pem(RSA_KEY), "RS256"), RULES)
    with pytest.raises(AnmeiError, match="the server that has the private key signs"):
        signer.sign("bob", ttl=60, now=NOW)


def test_the_first_secret_signs_and_all_verify() -> None:
    both = Keys.from_secrets([SECRET, OLD_SECRET])
    old = TokenSigner(Keys.from_secrets([OLD_SECRET]), RULES).sign("bob", ttl=60, now=NOW).text
    new = TokenSigner(both, RULES).sign("bob", ttl=60, now=NOW).text
    assert TokenVerifier(both, RULES).verify(old, NOW).user_id == "bob"
    assert hs256().verify(new, NOW).user_id == "bob"
    assert_refused(hs256(), old, "signature")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_checks_tokens_of_its_algorithm_alone(algorithm: str) -> None:
    verifier = TokenVerifier(Keys.from_pem(pem(PRIVATE[algorithm]), algorithm), RULES)
    assert verifier.verify(signed_by(algorithm), NOW).user_id == "alice"
    for other in {"RS256", "ES256", "EdDSA"} - {algorithm}:
        assert_refused(verifier, signed_by(other), "alg", algorithm)
    assert_refused(verifier, jwt.encode(claims(), SECRET, "HS256"), "alg", algorithm)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_signature_of_another_key_or_over_other_claims_is_refused(algorithm: str) -> None:
    verifier = TokenVerifier(Keys.from_pem(pem(PRIVATE[algorithm]), algorithm), RULES)
    other = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }[algorithm]
    assert_refused(verifier, signed_by(algorithm, other), "signature")
    header, _, signature = signed_by(algorithm).split(".")
    altered = b64(json.dumps(claims(sub="mallory")).encode())
    assert_refused(verifier, f"{header}.{altered}.{signature}", "signature")
    for wrong in (b"x", b"x" * 64, b"\0" * 64, b"x" * 256):
        assert_refused(verifier, f"{header}.{altered}.{b64(wrong)}", "signature")


# Attack 19


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature_is_refused(algorithm: str) -> None:
    head = b64(json.dumps({"alg": algorithm}).encode()) + "." + b64(json.dumps(claims()).encode())
    assert_refused(hs256(), head + ".")
    assert_refused(hs256(), head)
    assert_refused(hs256(), head + "." + b64(b"x"), "alg")


@pytest.mark.parametrize(
    "algorithm", ["hs256", "HS256 ", "HS512", "HS384", ["HS256"], {"HS256": 1}, None, 1, True]
)
def test_an_algorithm_is_exactly_ours(algorithm: object) -> None:
    assert_refused(hs256(), with_header(alg=algorithm), "alg", "HS256")


# Attack 20


def public_key_texts(key: Any) -> list[bytes]:
    public = key.public_key()
    texts = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    ]
    if isinstance(key, rsa.RSAPrivateKey):
        texts.append(public.public_bytes(Encoding.PEM, PublicFormat.PKCS1))
        texts.append(public.public_bytes(Encoding.DER, PublicFormat.PKCS1))
    return texts + [text.strip() for text in texts]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_our_public_key_is_no_secret_in_whatever_form(algorithm: str) -> None:
    key = PRIVATE[algorithm]
    document = jwk(algorithm)
    texts = public_key_texts(key)
    texts += [json.dumps(document).encode(), json.dumps({"keys": [document]}).encode()]
    for keys in (
        Keys.from_pem(pem(key), algorithm),
        Keys.from_jwks({"keys": [document]}, algorithm),
    ):
        for text in texts:
            for claimed in ("HS256", algorithm):
                token = written({"alg": claimed, "typ": "JWT"}, claims(), text)
                assert_refused(TokenVerifier(keys, RULES), token)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_does_not_start_as_a_secret(algorithm: str) -> None:
    with pytest.raises(BadKeys, match="public key belongs in JWT_PUBLIC_KEY"):
        Keys.from_secrets([pem(PRIVATE[algorithm])])
    with pytest.raises(BadKeys, match="public key belongs in JWT_PUBLIC_KEY"):
        Keys.from_secrets([json.dumps(jwk(algorithm))])


# Attack 21


@pytest.mark.parametrize(
    "kid", ["../../dev/null", "/dev/null", "a' OR 1=1 --", "", "x" * 257, ["one"], {"one": 1}, 1]
)
def test_a_kid_only_selects_from_a_fixed_map(kid: object) -> None:
    keys = Keys.from_jwks({"keys": [jwk("ES256", kid="one")]}, "ES256")
    head = b64(json.dumps({"alg": "ES256", "kid": kid}).encode())
    head += "." + b64(json.dumps(claims()).encode())
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(head.encode(), EC_KEY)
    assert_refused(TokenVerifier(keys, RULES), f"{head}.{b64(signature)}", "kid")


def test_a_kid_of_a_megabyte_is_refused_before_it_is_read() -> None:
    assert_refused(hs256(), with_header(kid="x" * 1_000_000), "8192")


def test_a_kid_of_any_text_changes_nothing_where_keys_have_no_names() -> None:
    assert hs256().verify(with_header(kid="../../dev/null"), NOW).user_id == "alice"
    for kid in ("x" * 257, ["one"], 1):
        assert_refused(hs256(), with_header(kid=kid), "kid")


def test_a_kid_names_the_key_that_must_fit() -> None:
    second = ec.generate_private_key(ec.SECP256R1())
    document = {"keys": [jwk("ES256", kid="one"), jwk("ES256", second, kid="two")]}
    verifier = TokenVerifier(Keys.from_jwks(document, "ES256"), RULES)
    assert verifier.verify(signed_by("ES256", kid="one"), NOW).user_id == "alice"
    assert verifier.verify(signed_by("ES256", second, kid="two"), NOW).user_id == "alice"
    assert verifier.verify(signed_by("ES256", second), NOW).user_id == "alice"
    assert_refused(verifier, signed_by("ES256", second, kid="one"), "signature")
    with pytest.raises(UnknownKey) as caught:
        verifier.verify(signed_by("ES256", kid="three"), NOW)
    assert caught.value.code is ErrorCode.UNAUTHORIZED


# Attack 22: each verifier is one trust domain, with keys and an issuer of its own.


def test_a_key_of_the_same_name_from_another_issuer_is_another_key() -> None:
    theirs = ec.generate_private_key(ec.SECP256R1())
    ours = TokenVerifier(
        Keys.from_jwks({"keys": [jwk("ES256", kid="one")]}, "ES256"), TokenRules(issuer="us")
    )
    forged = jwt.encode(claims(iss="us"), theirs, "ES256", headers={"kid": "one"})
    assert_refused(ours, forged, "signature")
    honest = jwt.encode(claims(iss="them"), EC_KEY, "ES256", headers={"kid": "one"})
    assert_refused(ours, honest, "iss")


# Attack 23: nothing here can fetch; tests/actors/test_keyring.py shows the same with sockets.


def test_keys_that_a_token_brings_along_are_not_believed() -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    verifier = TokenVerifier(Keys.from_jwks({"keys": [jwk("ES256", kid="one")]}, "ES256"), RULES)
    for header in (
        {"jwk": jwk("ES256", mine)},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://169.254.169.254/"},
        {"x5c": ["AAAA"]},
    ):
        assert_refused(verifier, signed_by("ES256", mine, **header), "signature")


# Attack 25


@pytest.mark.parametrize(
    "header", [{"crit": ["x"]}, {"crit": []}, {"b64": False}, {"b64": True}, {"crit": None}]
)
def test_header_extensions_are_refused(header: dict[str, object]) -> None:
    assert_refused(hs256(), with_header(**header), next(iter(header)))


@pytest.mark.parametrize("kind", ["refresh", "rt+jwt", "id+jwt", "JWT ", "", None, 1, ["JWT"]])
def test_a_token_of_another_type_is_no_access_token(kind: object) -> None:
    assert_refused(hs256(), with_header(typ=kind), "typ")


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT"])
def test_access_tokens_may_name_their_type(kind: str) -> None:
    assert hs256().verify(with_header(typ=kind), NOW).user_id == "alice"


def test_a_token_need_not_name_its_type() -> None:
    assert hs256().verify(written({"alg": "HS256"}, claims()), NOW).user_id == "alice"


def test_a_name_that_stands_twice_is_refused() -> None:
    twice = json.dumps(claims())[:-1] + ', "sub": "admin"}'
    assert_refused(hs256(), written({"alg": "HS256"}, twice), "claims", "twice")
    header = '{"alg": "HS256", "typ": "refresh", "typ": "JWT"}'
    assert_refused(hs256(), written(header, claims()), "header", "twice")
    inner = json.dumps(claims())[:-1] + ', "x": {"a": 1, "a": 2}}'
    assert_refused(hs256(), written({"alg": "HS256"}, inner), "claims", "twice")


# Attack 27


@pytest.mark.parametrize("secrets", [["short"], ["x" * 31], ["x" * 32, "short"], []])
def test_a_server_does_not_start_with_a_secret_that_can_be_guessed(secrets: list[str]) -> None:
    with pytest.raises(BadKeys) as caught:
        Keys.from_secrets(secrets)
    assert "JWT_SECRET" in str(caught.value)
    assert "short" not in str(caught.value)


# Attack 28


def test_a_token_has_one_text() -> None:
    token = with_claims()
    header, body, signature = token.split(".")
    # The signature's 32 bytes leave two bits of its last character unused.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1])
    spare = signature[:-1] + alphabet[last ^ 1]
    assert base64.urlsafe_b64decode(spare + "=") == base64.urlsafe_b64decode(signature + "=")
    texts = [f"{header}.{body}.{spare}", f"{header}=.{body}.{signature}", f".{token}", f"{token}."]
    texts += [token + end for end in ("=", "==", "====", " ", "\n", "\0", ".", "A", "\u00e9")]
    texts += [start + token for start in (" ", "\n", "\ufeff", "Bearer ")]
    texts += [token.replace(".", ". "), token.replace(".", ".."), token[:-2] + "\n" + token[-2:]]
    for text in texts:
        assert_refused(hs256(), text)
    assert hs256().verify(token, NOW).user_id == "alice"


def test_claims_that_are_not_ascii_are_refused_behind_a_good_header() -> None:
    header, _, signature = with_claims().split(".")
    for body in ("\ud800", "\u00e9", "\u0661", "\0"):
        assert_refused(hs256(), f"{header}.{body}.{signature}")


def test_standard_base64_is_not_base64url() -> None:
    tokens = (with_claims(jti=f"{n}") for n in range(200))
    token = next(token for token in tokens if "_" in token or "-" in token)
    assert_refused(hs256(), token.replace("_", "/").replace("-", "+"))


def test_rules_come_from_the_settings() -> None:
    settings = Settings(jwt_issuer="i", jwt_audience="a", jwt_leeway=7, jwt_max_lifetime=99)
    assert TokenRules.from_settings(settings) == TokenRules(
        issuer="i", audience="a", leeway=7, max_lifetime=99
    )


# Fuzz

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.text())
@example("\ud800.\ud800.\ud800")
@example("e30.\ud800.e30")
@example("..")
@example(".\u0661.")
def test_any_text_is_a_principal_or_unauthorized(text: str) -> None:
    assert_refused(hs256(), text)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_signed_bytes_are_unauthorized(header: bytes, body: bytes) -> None:
    for first in (header, b'{"alg":"HS256"}'):
        signed = b64(first) + "." + b64(body)
        signature = hmac.digest(SECRET.encode(), signed.encode(), hashlib.sha256)
        assert_refused(hs256(), signed + "." + b64(signature))


@given(
    st.dictionaries(
        st.sampled_from(
            ["sub", "exp", "iat", "nbf", "tenant", "roles", "name", "jti", "iss", "aud"]
        ),
        _json,
    ),
    st.dictionaries(st.sampled_from(["typ", "kid", "crit", "jku"]), _json),
)
def test_any_signed_claims_are_a_principal_or_unauthorized(
    changes: dict[str, Any], header: dict[str, Any]
) -> None:
    token = written({"alg": "HS256", **header}, claims(**changes))
    try:
        who = hs256(TokenRules(audience="a")).verify(token, NOW)
    except AnmeiError as error:
        refusal = error
    else:
        assert who.expires_at >= NOW - 5
        return
    assert refusal.code is ErrorCode.UNAUTHORIZED
    assert refusal.message.isprintable()
