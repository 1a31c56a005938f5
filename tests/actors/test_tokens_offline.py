"""Tokens that the command line revokes; what it signs is in `test_docs.py`."""

import pytest

from actors.tokens_offline import revoke
from anmei.settings import Settings, SettingsError


@pytest.mark.parametrize(
    ("tenant", "user_id", "token_id"),
    [
        ("acme", None, None),
        ("acme", "ann", "t1"),
        ("acme", "a/b", None),
        ("a b", "ann", None),
        ("acme", None, ""),
        ("acme", None, "a\nb"),
    ],
)
def test_what_names_no_user_and_no_token_is_refused_before_anything_is_opened(
    tenant, user_id, token_id
) -> None:
    named = {"tenant": tenant, "user_id": user_id, "token_id": token_id}
    with pytest.raises(SettingsError, match="--user"):
        revoke(Settings(), "sqlite:////nowhere/x", **named)


def test_what_is_revoked_is_said(sqlite_url) -> None:
    said = revoke(Settings(), sqlite_url, tenant="acme", user_id="ann", token_id=None)
    assert said.startswith("revoked all tokens of ann up to now; remembered until 20")
    said = revoke(Settings(), sqlite_url, tenant="acme", user_id=None, token_id="t1")
    assert said.startswith("revoked the token t1; ")
