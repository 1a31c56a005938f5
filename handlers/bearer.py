"""What a request shows to be let in: a token or an API key, and the page that it comes from."""

import hmac
import re
from typing import NoReturn
from urllib.parse import unquote_plus

from tornado.httputil import HTTPServerRequest

from anmei.errors import AnmeiError, ErrorCode
from anmei.principal import SERVICE, Principal

SUBPROTOCOL = "anmei.v1"
BEARER_PREFIX = "bearer."
SERVICE_USER_ID = "service"
SERVICE_TENANT = "default"

# The last second that a date of four-digit years can show.
_NEVER = 253_402_300_799
# What somebody looks for (`q`) is as private as what was said.
_SECRET_PARAMETERS = frozenset({"token", "access_token", "refresh_token", "jwt", "api_key", "q"})
_PARAMETER = re.compile(r"([?&;#])([^?&;#=]*)=([^&;#]*)")
# Any token, wherever it stands. The look-behind lets a match begin only where a run of such
# characters begins; without it a long run would be scanned once from each of its characters.
_TOKEN = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:\[\],\\]+)(?::([0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def find_token(request: HTTPServerRequest) -> str | None:
    """The token that `request` carries in `Authorization: Bearer`, `Sec-WebSocket-Protocol` or
    `?token=`, not yet verified; None if it carries none.

    Raises AnmeiError (UNAUTHORIZED) when two places disagree, or a token stands beside an
    `X-API-Key`: nobody should have to guess as whom a request acts.
    """
    found = [
        *(("Authorization", token) for token in _from_authorization(request)),
        *(("Sec-WebSocket-Protocol", token) for token in _from_subprotocols(request)),
        *(("?token=", _text(token)) for token in request.query_arguments.get("token", ())),
    ]
    if not found:
        return None
    place, token = found[0]
    for other_place, other in found:
        if not other:
            _refuse(f"the token in {other_place} is empty")
        if other != token:
            _refuse(f"{place} and {other_place} carry different tokens: send one")
    if request.headers.get_list("X-API-Key"):
        _refuse(f"{place} carries a token and X-API-Key a key: send one of them")
    return token


def find_service(request: HTTPServerRequest, api_keys: tuple[str, ...]) -> Principal | None:
    """The backend whose `X-API-Key` is one of `api_keys`; None if the request has no such header.

    Raises AnmeiError (UNAUTHORIZED) for any other key.
    """
    given = request.headers.get_list("X-API-Key")
    if not given:
        return None
    if len(set(given)) > 1:
        _refuse("X-API-Key stands twice with different keys: send one")
    if not api_keys:
        _refuse("X-API-Key: this server has no API keys (ANMEI_API_KEY)")
    offered = given[0].encode("utf-8", "replace")
    # Every key is compared, and each in constant time, so that how long it takes tells nothing.
    matches = [hmac.compare_digest(offered, key.encode()) for key in api_keys]
    if not any(matches):
        _refuse("X-API-Key is none of this server's keys (ANMEI_API_KEY)")
    return Principal(
        tenant=SERVICE_TENANT,
        user_id=SERVICE_USER_ID,
        roles=frozenset({SERVICE}),
        name=SERVICE_USER_ID,
        expires_at=_NEVER,
    )


def offered_subprotocols(request: HTTPServerRequest) -> list[str]:
    """The subprotocols that a WebSocket client offers, tokens among them, in its order."""
    header = ",".join(request.headers.get_list("Sec-WebSocket-Protocol"))
    return [name for part in header.split(",") if (name := part.strip())]


def redact(uri: str) -> str:
    """`uri` for a log: the values of parameters that carry secrets, and whatever looks like a
    token, are replaced."""
    return _TOKEN.sub("(token)", _PARAMETER.sub(_without_secret, uri))


def origin_allowed(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a page of `origin` may connect.

    `origin` is the Origin header: None, from a client that is no browser, is allowed, for such a
    client brings a token and no cookie. `host` is the Host header. `allowed` are origins, compared
    by scheme, host and port; `*` is any. If it is empty, a page of this very host may connect.
    """
    if origin is None or "*" in allowed:
        return True
    parsed = _parse_origin(origin)
    if parsed is None:
        return False
    if allowed:
        return any(parsed == _parse_origin(one.rstrip("/")) for one in allowed)
    # The scheme is the page's: behind a proxy that ends TLS, this server sees http alone.
    return parsed[0] in ("http", "https") and parsed == _parse_origin(f"{parsed[0]}://{host}")


def _from_authorization(request: HTTPServerRequest) -> list[str]:
    tokens = []
    for value in request.headers.get_list("Authorization"):
        scheme, space, rest = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            tokens.append(rest.strip())
        elif not space and scheme.count(".") == 2:
            _refuse("Authorization is a token alone: expected `Authorization: Bearer <token>`")
        # Other schemes are for others, such as a proxy in front that asks for a password.
    return tokens


def _from_subprotocols(request: HTTPServerRequest) -> list[str]:
    return [
        name.removeprefix(BEARER_PREFIX)
        for name in offered_subprotocols(request)
        if name.startswith(BEARER_PREFIX)
    ]


def _text(value: bytes) -> str:
    # What is not ASCII is no token: replaced, it stays none.
    return value.decode("ascii", "replace").strip()


def _without_secret(match: re.Match[str]) -> str:
    separator, name, value = match.groups()
    if unquote_plus(name).strip().lower() in _SECRET_PARAMETERS:
        value = "(redacted)"
    return f"{separator}{name}={value}"


def _parse_origin(text: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port, the port being the scheme's own where none is written."""
    # lower() turns some letters that are not ASCII into ones that are.
    match = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    if match is None:
        return None
    scheme, host, port = match.groups()
    return scheme, host, int(port) if port else _DEFAULT_PORTS.get(scheme)


def _refuse(message: str) -> NoReturn:
    raise AnmeiError(ErrorCode.UNAUTHORIZED, message)
