"""Tokens for made-up users, signed with the secret that the server was started with."""

import time

import jwt

LIFETIME_SECONDS = 6 * 3600


def make(secret: str, user_id: str, *roles: str) -> str:
    """A token of `user_id`, as the server's own sign-in would hand it out."""
    claims = {
        "sub": user_id,
        "name": user_id,
        "roles": list(roles),
        "exp": int(time.time()) + LIFETIME_SECONDS,
    }
    return jwt.encode(claims, secret, algorithm="HS256")
