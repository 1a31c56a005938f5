"""Tokens as an app developer's backend would sign them."""

import time
from collections.abc import Iterable

import jwt

SECRET = "a test secret that is longer than thirty-two bytes"


def make_token(
    user: str,
    *,
    roles: Iterable[str] = ("user",),
    ttl: float = 3600,
    tenant: str = "default",
    name: str | None = None,
    secret: str = SECRET,
    **claims: object,
) -> str:
    """A token for `user`; a negative `ttl` (in seconds) makes one that has expired. `claims` come
    on top, and one that is None is left out."""
    now = time.time()
    payload: dict[str, object] = {
        "sub": user,
        "iat": int(now),
        "exp": int(now + ttl),
        "roles": list(roles),
        "tenant": tenant,
    }
    if name is not None:
        payload["name"] = name
    payload |= claims
    return jwt.encode(
        {key: value for key, value in payload.items() if value is not None},
        secret,
        algorithm="HS256",
    )
