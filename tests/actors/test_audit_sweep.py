"""What was written down is forgotten in time, a part at a time, and the server lives on."""

import asyncio
from typing import Any

import pytest

from actors.audit_sweep import DAY, AuditSweep
from anmei.clock import now_ms
from anmei.commands_changes import SweepAudit
from anmei.errors import AnmeiError, ErrorCode


class Archive:
    """Answers each sweep with how many rows it removed, or with an error."""

    def __init__(self, *answers: int | AnmeiError) -> None:
        self.answers = list(answers)
        self.asked: list[SweepAudit] = []
        self.empty = asyncio.Event()

    async def ask(self, command: Any, seconds: float) -> dict[str, Any]:
        self.asked.append(command)
        if not self.answers:
            self.empty.set()
            await asyncio.get_running_loop().create_future()
        answer = self.answers.pop(0)
        if isinstance(answer, AnmeiError):
            raise answer
        return {"removed": answer}


@pytest.mark.parametrize("lost", [0, AnmeiError(ErrorCode.UNAVAILABLE, "the database is away")])
async def test_rows_go_a_part_at_a_time_and_it_goes_on_after_a_failure(lost):
    archive = Archive(1_000, 1_000, 7, lost)
    begun = now_ms()
    task = asyncio.create_task(AuditSweep(archive, 30, pause=0.001).run())
    await archive.empty.wait()
    task.cancel()
    assert len(archive.asked) == 5
    for command in archive.asked:
        assert begun <= command.before + 30 * DAY <= now_ms()


async def test_nothing_is_forgotten_where_no_number_of_days_is_set():
    archive = Archive()
    task = asyncio.create_task(AuditSweep(archive, 0, pause=0).run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not archive.asked
    assert not task.done()
    task.cancel()
