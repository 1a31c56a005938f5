"""Writing down who changed what, and forgetting it in time."""

from anmei.commands import Outcome
from anmei.commands_changes import ChangeMessage, SweepAudit
from anmei.ids import tenant_of
from db.batch import Batch, Place
from db.link import execute


def note(
    batch: Batch, command: ChangeMessage, action: str, place: Place, change_seq: int | None
) -> None:
    """That `command` was done, in the transaction that does it. Nothing of what was said, before
    or after, is kept: it could be recalled."""
    execute(
        batch.database,
        "INSERT INTO audit (tenant, at, action, actor_key, agent_key, conversation, message_id,"
        " change_seq) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant_of(command.by_key),
            command.at,
            action,
            command.by_key,
            command.agent_key,
            place.pk,
            command.message_id,
            change_seq,
        ),
    )


def sweep(batch: Batch, command: SweepAudit) -> Outcome:
    """Rows are numbered as they come, so the oldest are found without an index of times."""
    removed = execute(
        batch.database,
        "DELETE FROM audit WHERE at < %s AND pk IN (SELECT pk FROM audit ORDER BY pk LIMIT %s)",
        (command.before, command.most),
    ).rowcount
    return Outcome(reply={"removed": removed})
