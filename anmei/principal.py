"""Who is asking: what a verified token says, and nothing else."""

import msgspec

from anmei.ids import make_key

USER, SERVICE, ADMIN = "user", "service", "admin"
ROLES = (USER, SERVICE, ADMIN)


class Principal(msgspec.Struct, frozen=True):
    """A verified token's bearer."""

    tenant: str
    user_id: str
    roles: frozenset[str]
    #: The display name, or the user id where the token has none.
    name: str
    #: When the token ends, in seconds since 1970.
    expires_at: int
    #: The token's own id, where it has one.
    token_id: str | None = None
    #: When it was issued, in seconds since 1970, where the token says so.
    issued_at: float | None = None
    #: When it was shown here, in seconds since 1970.
    shown_at: float = 0.0

    @property
    def key(self) -> str:
        return make_key(self.tenant, self.user_id)

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    @property
    def acts_for_others(self) -> bool:
        """Backends: they may name whom they act for."""
        return SERVICE in self.roles or ADMIN in self.roles
