"""Tokens: signed JSON (JWT) that says who somebody is, until when, and what they may do.

The signature is PyJWT's work. Around it stand rules of our own, since a library that serves
everybody accepts more than a server should: numbers of any length, a claim given twice, the same
token written in several ways. Every refusal is an AnmeiError with the code `unauthorized` and one
sentence for the developer whose token it is; no sentence contains a key or a signature.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

import msgspec

from anmei.codec import encode, printable
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import is_id, new_id
from anmei.keys import MAX_KID_LENGTH, Keys
from anmei.principal import ROLES, USER, Principal
from anmei.settings import Settings
from anmei.token_text import decode_part, encode_part, parse_part, refuse

MAX_TOKEN_BYTES = 8_192
MAX_NAME_LENGTH = 128
MAX_TOKEN_ID_LENGTH = 128
DEFAULT_TENANT = "default"

_LATEST = 2**53
_TYPES = ("jwt", "at+jwt")
# Control characters, line separators and lone surrogates, and the characters that turn the
# direction of the text around them: a name made of those disguises itself in lists and logs.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class TokenRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a token must say. Times in seconds; an empty issuer or audience is not checked."""

    issuer: str = ""
    audience: str = ""
    leeway: int = 5
    max_lifetime: int = 30 * 86_400

    @classmethod
    def from_settings(cls, settings: Settings) -> "TokenRules":
        return cls(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            leeway=settings.jwt_leeway,
            max_lifetime=settings.jwt_max_lifetime,
        )


class TokenVerifier:
    """Turns token texts into principals, by fixed keys and rules."""

    def __init__(self, keys: Keys, rules: TokenRules) -> None:
        self._keys = keys
        self._rules = rules

    def verify(self, token: str, now: float) -> Principal:
        """Who holds `token`, `now` being seconds since 1970.

        Raises AnmeiError (UNAUTHORIZED), as UnknownKey where a key of that name is not known.
        """
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            refuse(f"not a token: expected at most {MAX_TOKEN_BYTES} characters, all of them ASCII")
        head, dot, signature = token.rpartition(".")
        header, middle, payload = head.partition(".")
        if not (dot and middle) or "." in payload:
            refuse("not a token: expected three parts, header.claims.signature")
        kid = self._check_header(parse_part(header, "header"))
        if not self._keys.check(head.encode(), decode_part(signature, "signature"), kid):
            refuse("the token's signature does not fit: it was signed with another key, or altered")
        return self._read(parse_part(payload, "claims"), now)

    def _check_header(self, header: dict[str, Any]) -> str | None:
        """The header's `kid`. Whatever else it names (jku, x5u, jwk) is never looked at."""
        algorithm = header.get("alg")
        if algorithm != self._keys.algorithm:
            refuse(
                f"the token's alg is {_show(algorithm)}; this server accepts "
                f"{self._keys.algorithm} alone"
            )
        for name in ("crit", "b64"):
            if name in header:
                refuse(f"the token's header has {name}, which this server does not support")
        if "typ" in header:
            kind = header["typ"]
            if not isinstance(kind, str) or kind.lower() not in _TYPES:
                refuse(f"the token's typ is {_show(kind)}; an access token has JWT or at+jwt")
        kid = header.get("kid")
        if kid is None:
            return None
        if not isinstance(kid, str) or len(kid) > MAX_KID_LENGTH:
            refuse(f"the token's kid must be a string of at most {MAX_KID_LENGTH} characters")
        return kid

    def _read(self, claims: dict[str, Any], now: float) -> Principal:
        expires_at = self._check_times(claims, now)
        self._check_parties(claims)
        user_id = _read_id(claims, "sub", None)
        tenant = _read_id(claims, "tenant", DEFAULT_TENANT)
        token_id = claims.get("jti")
        if token_id is not None and not is_token_id(token_id):
            refuse(
                f"the token's jti must be a string of 1 to {MAX_TOKEN_ID_LENGTH} printable "
                "characters"
            )
        return Principal(
            tenant=tenant,
            user_id=user_id,
            roles=_read_roles(claims),
            name=_read_name(claims, user_id),
            expires_at=expires_at,
            token_id=token_id,
            issued_at=_read_time(claims, "iat") if "iat" in claims else None,
            shown_at=now,
        )

    def _check_times(self, claims: dict[str, Any], now: float) -> int:
        leeway, lifetime = self._rules.leeway, self._rules.max_lifetime
        if "exp" not in claims:
            refuse("the token has no exp: it must say when it ends, in seconds since 1970")
        expires_at = _read_time(claims, "exp")
        if now >= expires_at + leeway:
            refuse(f"the token expired {now - expires_at:.0f} s ago")
        if expires_at > now + lifetime + leeway:
            refuse(
                f"the token ends in {expires_at - now:.0f} s; at most {lifetime} s are allowed "
                "(JWT_MAX_LIFETIME)"
            )
        for name in ("iat", "nbf"):
            if name in claims and (begins := _read_time(claims, name)) > now + leeway:
                refuse(f"the token's {name} is {begins - now:.0f} s in the future")
        if "iat" in claims and expires_at > _read_time(claims, "iat") + lifetime + leeway:
            # Or it would begin to hold some day, when what revoked it has been forgotten.
            refuse(f"the token lasts longer than {lifetime} s (JWT_MAX_LIFETIME)")
        return int(expires_at)

    def _check_parties(self, claims: dict[str, Any]) -> None:
        issuer, audience = self._rules.issuer, self._rules.audience
        if issuer and claims.get("iss") != issuer:
            refuse(
                f"the token's iss is {_show(claims.get('iss'))}; expected {printable(issuer)} "
                "(JWT_ISSUER)"
            )
        if audience:
            given = claims.get("aud")
            listed = given if isinstance(given, list) else [given]
            if audience not in listed or not all(isinstance(one, str) for one in listed):
                refuse(
                    f"the token's aud is {_show(given)}; expected {printable(audience)} "
                    "(JWT_AUDIENCE)"
                )


class SignedToken(NamedTuple):
    """A new token, and when it ends in seconds since 1970."""

    text: str
    expires_at: int


class TokenSigner:
    """Makes tokens that this server's own verifier accepts."""

    def __init__(self, keys: Keys, rules: TokenRules) -> None:
        self._keys = keys
        self._rules = rules

    def sign(
        self,
        user_id: str,
        *,
        ttl: int,
        now: float,
        tenant: str = DEFAULT_TENANT,
        roles: Iterable[str] = (USER,),
        name: str | None = None,
    ) -> SignedToken:
        """A token for `user_id` that ends `ttl` seconds after `now`.

        Raises AnmeiError: BAD_REQUEST for values that the verifier would refuse, UNSUPPORTED where
        another server signs.
        """
        roles = sorted(set(roles))
        for what, value in (("user_id", user_id), ("tenant", tenant)):
            if not is_id(value):
                _reject(f"{what} must be {_AN_ID}; it is {_show(value)}")
        if not roles or not set(roles) <= set(ROLES):
            _reject(f"roles must be some of {', '.join(ROLES)}; they are {_show(roles)}")
        if name is not None and not _is_text(name, MAX_NAME_LENGTH):
            _reject(f"name must be 1 to {MAX_NAME_LENGTH} printable characters")
        if not 1 <= ttl <= self._rules.max_lifetime:
            _reject(f"a token lasts 1 to {self._rules.max_lifetime} s; asked for were {ttl} s")
        claims: dict[str, object] = {
            "sub": user_id,
            "tenant": tenant,
            "roles": roles,
            "name": name or user_id,
            # To the millisecond: a revocation of all tokens of a user may fall into this second.
            "iat": round(now, 3),
            "exp": int(now) + ttl,
            "jti": new_id("tok"),
        }
        if self._rules.issuer:
            claims["iss"] = self._rules.issuer
        if self._rules.audience:
            claims["aud"] = self._rules.audience
        header = {"alg": self._keys.algorithm, "typ": "JWT"}
        signed = encode_part(encode(header)) + b"." + encode_part(encode(claims))
        signature = encode_part(self._keys.sign(signed))
        return SignedToken((signed + b"." + signature).decode(), int(now) + ttl)


_AN_ID = "an id: 1 to 128 letters, digits and _ . @ + -, beginning with a letter, digit or _"


def _reject(message: str) -> NoReturn:
    raise AnmeiError(ErrorCode.BAD_REQUEST, message)


def _show(value: object) -> str:
    """A value of the token for a sentence: short, and harmless in a log."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return printable(value)
    return f"of type {type(value).__name__}"


def is_token_id(value: object) -> bool:
    """Whether this can be a token's `jti`."""
    return _is_text(value, MAX_TOKEN_ID_LENGTH)


def _is_text(value: object, length: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= length and not _UNPRINTABLE.search(value)


def _read_time(claims: dict[str, Any], name: str) -> float:
    value = claims[name]
    if type(value) not in (int, float) or not 0 <= value < _LATEST:
        refuse(f"the token's {name} must be a number of seconds since 1970")
    seconds: float = value
    return seconds


def _read_id(claims: dict[str, Any], name: str, default: str | None) -> str:
    value: Any = claims.get(name, default)
    if not is_id(value):
        refuse(f"the token's {name} must be {_AN_ID}; it is {_show(value)}")
    text: str = value
    return text


def _read_roles(claims: dict[str, Any]) -> frozenset[str]:
    """The roles that are known here; an issuer has others for servers of other kinds."""
    roles = claims.get("roles", USER)
    if isinstance(roles, str):
        roles = [roles]
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        refuse(f"the token's roles must be a list of strings, some of {', '.join(ROLES)}")
    return frozenset(role for role in roles if role in ROLES) or frozenset((USER,))


def _read_name(claims: dict[str, Any], default: str) -> str:
    name = claims.get("name")
    if name is None or (isinstance(name, str) and not name.strip()):
        return default
    if not _is_text(name, MAX_NAME_LENGTH):
        refuse(f"the token's name must be text of at most {MAX_NAME_LENGTH} printable characters")
    text: str = name
    return text
