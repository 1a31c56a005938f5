"""Tokens without a running server: what the command line signs and revokes."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from actors.keyring import Keyring
from actors.revocations import revoke_command
from anmei.clock import now_ms, to_wire
from anmei.ids import is_id
from anmei.revocation import Revocation, token_subject, user_subject
from anmei.settings import Settings, SettingsError
from anmei.tokens import is_token_id
from db.store import Store


def sign(
    settings: Settings,
    user_id: str,
    *,
    tenant: str,
    roles: Iterable[str],
    name: str | None,
    ttl: int,
) -> tuple[str, str | None]:
    """A token that lasts `ttl` seconds, and a sentence on a secret that was made for it. Blocks;
    raises SettingsError or AnmeiError."""
    secret = Path(settings.data_dir) / "secret"
    is_new = not (settings.jwt_secret or secret.exists())

    async def work() -> str:
        keyring = Keyring(settings)
        await keyring.start()
        try:
            return keyring.signer.sign(
                user_id, tenant=tenant, roles=roles, name=name, ttl=ttl, now=time.time()
            ).text
        finally:
            await keyring.stop()

    token = asyncio.run(work())
    if not is_new or not secret.exists():
        return token, None
    return token, (
        f"{secret.resolve()} is new; a server takes this token if it runs with the same data "
        "directory"
    )


def revoke(
    settings: Settings, url: str, *, tenant: str, user_id: str | None, token_id: str | None
) -> str:
    """Takes back the token `token_id`, or every one that the user was given so far, and says what
    was done. It is written to the database at `url`, where the nodes that run find it. Blocks;
    raises SettingsError, StoreUnavailable or AnmeiError."""
    if user_id is not None and token_id is None and is_id(user_id) and is_id(tenant):
        subject, what = user_subject(tenant, user_id), f"all tokens of {user_id} up to now"
    elif user_id is None and is_token_id(token_id) and is_id(tenant):
        subject, what = token_subject(tenant, token_id or ""), f"the token {token_id}"
    else:
        raise SettingsError("token --revoke: expected either --user and an id, or --jti")
    store = Store(url, readers=1, timeout_ms=settings.db_timeout)
    store.open()
    try:
        before = now_ms() if token_id is None else 0
        (outcome,) = store.write([revoke_command(settings, tenant, subject, before)]).result()
    finally:
        store.close()
    if outcome.error is not None:
        raise outcome.error
    until = to_wire(msgspec.convert(outcome.reply, Revocation).expires_at)
    return f"revoked {what}; remembered until {until}"
