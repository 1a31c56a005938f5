"""Tokens that hold no longer although they have not expired: by their id, or all of one user.

A subject names what is revoked: `jti tenant/id` for one token, `user tenant/id` for every token of
a user that was issued before a moment.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from anmei.clock import to_wire
from anmei.ids import make_key
from anmei.principal import Principal

_TOKEN, _USER = "jti ", "user "


class Revocation(msgspec.Struct, frozen=True):
    """One subject, revoked. Times are in ms since 1970."""

    #: Given in the order of the commits, and never twice.
    number: int
    subject: str
    #: Tokens issued earlier than this are meant; 0 for a single token.
    before: int
    created_at: int
    #: By then the tokens that it is about have expired by themselves.
    expires_at: int

    @property
    def user_key(self) -> str | None:
        """Whose tokens are revoked, where all of them are."""
        return self.subject.removeprefix(_USER) if self.subject.startswith(_USER) else None

    def to_wire(self) -> dict[str, Any]:
        kind, _, key = self.subject.partition(" ")
        # A tenant has no slash; the id of a token may have one.
        id = key.partition("/")[2]
        is_user = f"{kind} " == _USER
        return {
            "jti": None if is_user else id,
            "user_id": id if is_user else None,
            "before": to_wire(self.before) if is_user else None,
            "created_at": to_wire(self.created_at),
            "expires_at": to_wire(self.expires_at),
        }


class RevokedTokens:
    """Every revocation that is in force, looked up by what a token says."""

    def __init__(self) -> None:
        self._found: dict[str, Revocation] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, revocations: Iterable[Revocation]) -> list[Revocation]:
        """Takes them over, in any order and any number of times; those that revoke more than was
        revoked already."""
        news = []
        for new in revocations:
            old = self._found.get(new.subject)
            if old is None or (new.before, new.expires_at) > (old.before, old.expires_at):
                self._found[new.subject] = new
                if old is None or new.before > old.before:
                    news.append(new)
        return news

    def covers(self, principal: Principal) -> bool:
        """Whether the token that `principal` was read from is revoked. One that does not say when
        it was issued counts as older than any revocation of its user."""
        if not self._found:
            return False
        if principal.token_id is not None and (
            token_subject(principal.tenant, principal.token_id) in self._found
        ):
            return True
        found = self._found.get(user_subject(principal.tenant, principal.user_id))
        return found is not None and (
            principal.issued_at is None or principal.issued_at * 1000 < found.before
        )

    def sweep(self, now: int) -> int:
        """Forgets what is about tokens that have expired by `now`; how many there were."""
        old = [subject for subject, found in self._found.items() if found.expires_at <= now]
        for subject in old:
            del self._found[subject]
        return len(old)


def token_subject(tenant: str, token_id: str) -> str:
    return f"{_TOKEN}{tenant}/{token_id}"


def user_subject(tenant: str, user_id: str) -> str:
    return _USER + make_key(tenant, user_id)
