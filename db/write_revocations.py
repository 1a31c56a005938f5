"""Revoking tokens."""

import msgspec

from anmei.commands import Outcome
from anmei.commands_tokens import RevokeTokens, SweepRevocations
from anmei.errors import AnmeiError, ErrorCode
from anmei.revocation import Revocation
from db.batch import Batch
from db.link import execute, fetch


def revoke(batch: Batch, command: RevokeTokens) -> Outcome:
    database = batch.database
    old = fetch(
        database,
        "SELECT before, expires_at FROM revocations WHERE subject = %s",
        (command.subject,),
    )
    before, expires_at = command.before, command.expires_at
    if old:
        before, expires_at = max(before, old[0][0]), max(expires_at, old[0][1])
    elif command.most:
        ((count,),) = fetch(
            database,
            "SELECT COUNT(*) FROM revocations WHERE tenant = %s AND expires_at > %s",
            (command.tenant, command.created_at),
        )
        if count >= command.most:
            raise AnmeiError(
                ErrorCode.TOO_LARGE,
                f"at most {command.most} revocations of a tenant may be in force; revoke by "
                "user_id, which takes one for all tokens of a user",
            )
    # A row of its own each time, so that it has a new number and every node takes a look.
    execute(database, "DELETE FROM revocations WHERE subject = %s", (command.subject,))
    ((number,),) = fetch(
        database,
        "INSERT INTO revocations (tenant, subject, before, created_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s) RETURNING pk",
        (command.tenant, command.subject, before, command.created_at, expires_at),
    )
    revoked = Revocation(number, command.subject, before, command.created_at, expires_at)
    return Outcome(reply=msgspec.to_builtins(revoked))


def sweep(batch: Batch, command: SweepRevocations) -> Outcome:
    execute(batch.database, "DELETE FROM revocations WHERE expires_at <= %s", (command.at,))
    return Outcome(reply={})
