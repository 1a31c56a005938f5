"""Commands about tokens."""

import msgspec


class RevokeTokens(msgspec.Struct):
    """Revoke one token, or those of a user that were issued before a moment. Reply: the fields of
    an `anmei.revocation.Revocation`.

    The same subject again replaces what there is, and never takes anything back. More than `most`
    subjects of one tenant are `too_large`; 0 is no limit.
    """

    tenant: str
    subject: str
    before: int
    created_at: int
    expires_at: int
    most: int = 0


class SweepRevocations(msgspec.Struct):
    """Forget the revocations whose tokens have expired by `at`. Reply: `{}`."""

    at: int
