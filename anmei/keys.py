"""The keys that tokens are checked with: fixed by configuration, never by a token.

One server accepts one algorithm. HS256 takes secrets; RS256, ES256 and EdDSA take public keys, as
PEM text or as a JSON Web Key Set. A key of another kind never becomes a `Keys`, so no token can
talk the server into using a public key as a secret.
"""

from collections.abc import Iterable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from anmei.errors import AnmeiError, ErrorCode
from anmei.settings import SettingsError

HS256: Final = "HS256"
MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192
MAX_KEYS = 64
MAX_KID_LENGTH = 256

#: What each algorithm takes: in words, and as JSON Web Key (`kty`, `crv`).
_PUBLIC: Final = {
    "RS256": (f"an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits", "RSA", None),
    "ES256": ("an elliptic-curve key on P-256", "EC", "P-256"),
    "EdDSA": ("an Ed25519 key", "OKP", "Ed25519"),
}


class BadKeys(SettingsError):
    """Keys that cannot be used; the text says what is wrong, and never shows a secret."""


class UnknownKey(AnmeiError):
    """A token names a key (`kid`) that is not among ours; it may be newer than our copy."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.UNAUTHORIZED, message)


class Keys:
    """One algorithm and its keys, in the order in which they are tried.

    Without names (`kid`) every key is tried. With names, a token that has a `kid` gets the keys
    of that name alone, and a token without one gets all.
    """

    def __init__(
        self, algorithm: str, keys: Iterable[tuple[str | None, Any]], *, named: bool = False
    ) -> None:
        self.algorithm = algorithm
        self._scheme: Algorithm = get_default_algorithms()[algorithm]
        pairs = tuple(keys)
        self._all = tuple(key for _, key in pairs)
        self._named: dict[str, tuple[Any, ...]] | None = None
        if named:
            self._named = {
                name: tuple(key for other, key in pairs if other == name)
                for name, _ in pairs
                if name is not None
            }

    @classmethod
    def from_secrets(cls, secrets: Iterable[str]) -> "Keys":
        """HS256; the first secret signs, all verify. Raises BadKeys."""
        scheme = get_default_algorithms()[HS256]
        keys = []
        for secret in secrets:
            if len(secret.encode()) < MIN_SECRET_BYTES:
                raise BadKeys(
                    f"JWT_SECRET: a secret of {len(secret.encode())} bytes can be guessed; use "
                    f"{MIN_SECRET_BYTES} or more, for example from `openssl rand -hex 32`"
                )
            try:
                keys.append((None, scheme.prepare_key(secret)))
            except InvalidKeyError:
                raise BadKeys(
                    "JWT_SECRET holds a key pair's half, which is no secret: a public key belongs "
                    "in JWT_PUBLIC_KEY, with JWT_ALGORITHM"
                ) from None
        if not keys:
            raise BadKeys("JWT_SECRET is empty: HS256 needs one secret at least")
        return cls(HS256, keys)

    @classmethod
    def from_pem(cls, text: str, algorithm: str) -> "Keys":
        """The one public key in `text`, for RS256, ES256 or EdDSA. Raises BadKeys."""
        wanted = _public_words(algorithm)
        # Environments that cannot hold line breaks write them as \n.
        text = text.replace("\\n", "\n").strip()
        if "PRIVATE KEY" in text:
            raise BadKeys(
                "JWT_PUBLIC_KEY holds a private key, which only the server that signs should have; "
                "`openssl pkey -pubout` makes the public one of it"
            )
        if "BEGIN CERTIFICATE" in text:
            raise BadKeys(
                "JWT_PUBLIC_KEY holds a certificate; `openssl x509 -pubkey -noout` takes the "
                "public key out of it"
            )
        try:
            key = load_pem_public_key(text.encode())
        except Exception:  # the reader's own errors are many, and mean one thing
            raise BadKeys(
                "JWT_PUBLIC_KEY is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)"
            ) from None
        if not _fits(key, algorithm):
            raise BadKeys(
                f"JWT_PUBLIC_KEY does not fit JWT_ALGORITHM={algorithm}, which takes {wanted}; "
                f"{_advice(key)}"
            )
        return cls(algorithm, [(None, key)])

    @classmethod
    def from_jwks(cls, document: object, algorithm: str) -> "Keys":
        """The keys of a JSON Web Key Set that are for signatures with `algorithm`; others, which
        such documents hold for other uses, are passed over. Raises BadKeys, also if none is left.
        """
        wanted = _public_words(algorithm)
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise BadKeys('the key set is not an object with a list "keys"')
        if len(listed) > MAX_KEYS:
            raise BadKeys(f"the key set has {len(listed)} keys; at most {MAX_KEYS} are allowed")
        scheme = get_default_algorithms()[algorithm]
        keys = []
        for jwk in listed:
            if not _is_for(jwk, algorithm):
                continue
            if "d" in jwk:
                raise BadKeys("the key set publishes a private key: replace that key everywhere")
            try:
                key = scheme.from_jwk(jwk)
            except Exception:  # whatever a malformed key sets off, it is one key less
                continue
            if _fits(key, algorithm):
                keys.append((jwk.get("kid"), key))
        if not keys:
            raise BadKeys(
                f"none of the {len(listed)} keys of the key set serves {algorithm}, which takes "
                f"{wanted}"
            )
        return cls(algorithm, keys, named=True)

    @property
    def can_sign(self) -> bool:
        return self.algorithm == HS256

    def check(self, signed: bytes, signature: bytes, kid: str | None) -> bool:
        """Whether one of the keys made `signature` over `signed`; raises UnknownKey where `kid`
        names none."""
        keys = self._all
        if kid is not None and self._named is not None:
            if kid not in self._named:
                raise UnknownKey(
                    "the token's header names a key (kid) that is not among the published ones"
                )
            keys = self._named[kid]
        # PyJWT compares HMACs in constant time. The loop's length depends on which secret fits,
        # which is no secret.
        return any(self._scheme.verify(signed, key, signature) for key in keys)

    def sign(self, text: bytes) -> bytes:
        """The signature with the first secret; raises AnmeiError where there are only public
        keys."""
        if not self.can_sign:
            raise AnmeiError(
                ErrorCode.UNSUPPORTED,
                f"this server only checks tokens ({self.algorithm}, a public key); the server "
                "that has the private key signs them",
            )
        return self._scheme.sign(text, self._all[0])


def _public_words(algorithm: str) -> str:
    if algorithm not in _PUBLIC:
        raise BadKeys(
            f"JWT_ALGORITHM={algorithm} takes no public key; those that do are {', '.join(_PUBLIC)}"
        )
    return _PUBLIC[algorithm][0]


def _fits(key: object, algorithm: str) -> bool:
    if algorithm == "RS256":
        return isinstance(key, RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
    if algorithm == "ES256":
        return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    return isinstance(key, Ed25519PublicKey)


def _advice(key: object) -> str:
    for algorithm in _PUBLIC:
        if _fits(key, algorithm):
            return f"this key is one for JWT_ALGORITHM={algorithm}"
    if isinstance(key, RSAPublicKey):
        return f"this RSA key has {key.key_size} bits"
    return "no algorithm that is accepted takes this key"


def _is_for(jwk: object, algorithm: str) -> bool:
    """Whether a published key says of itself that it checks signatures of this kind."""
    _, kty, crv = _PUBLIC[algorithm]
    if not isinstance(jwk, dict) or jwk.get("kty") != kty or jwk.get("crv") != crv:
        return False
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return False
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return False
    kid = jwk.get("kid")
    return kid is None or (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH)
