"""Tokens as the tests make them, good and bad, and the keys they are signed with."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from anmei.errors import AnmeiError, ErrorCode
from anmei.keys import Keys
from anmei.tokens import TokenRules, TokenVerifier

NOW = 1_700_000_000.0
SECRET = "a-secret-that-nobody-would-guess-0001"
OLD_SECRET = "a-secret-that-was-the-first-one-0000"
RULES = TokenRules()

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PRIVATE: dict[str, Any] = {"RS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}
TO_JWK: dict[str, Any] = {
    "RS256": RSAAlgorithm.to_jwk,
    "ES256": ECAlgorithm.to_jwk,
    "EdDSA": OKPAlgorithm.to_jwk,
}


def claims(**changes: object) -> dict[str, object]:
    """Good claims, with changes; a change to `...` takes a claim away."""
    given = {"sub": "alice", "iat": int(NOW), "exp": int(NOW) + 3600, **changes}
    return {name: value for name, value in given.items() if value is not ...}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def written(header: object, body: object, key: bytes = SECRET.encode()) -> str:
    """A token with a true HS256 signature over whatever header and claims; str is put as it is."""
    parts = [
        b64(part.encode() if isinstance(part, str) else json.dumps(part).encode())
        for part in (header, body)
    ]
    signed = ".".join(parts)
    return signed + "." + b64(hmac.digest(key, signed.encode(), hashlib.sha256))


def with_header(**changes: object) -> str:
    return written({"alg": "HS256", "typ": "JWT", **changes}, claims())


def with_claims(**changes: object) -> str:
    return written({"alg": "HS256", "typ": "JWT"}, claims(**changes))


def hs256(rules: TokenRules = RULES, *secrets: str) -> TokenVerifier:
    return TokenVerifier(Keys.from_secrets(secrets or (SECRET,)), rules)


def pem(key: Any) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(algorithm: str, key: Any = None, **extra: object) -> dict[str, object]:
    public = (key or PRIVATE[algorithm]).public_key()
    return {**TO_JWK[algorithm](public, as_dict=True), **extra}


def signed_by(algorithm: str, key: Any = None, **header: object) -> str:
    return jwt.encode(claims(), key or PRIVATE[algorithm], algorithm, headers=header)


def assert_refused(verifier: TokenVerifier, token: str, *words: str) -> None:
    with pytest.raises(AnmeiError) as caught:
        verifier.verify(token, NOW)
    assert caught.value.code is ErrorCode.UNAUTHORIZED
    for word in words:
        assert word in caught.value.message
    assert SECRET not in caught.value.message
