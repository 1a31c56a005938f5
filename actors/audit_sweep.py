"""What was written down of changes is forgotten in time."""

import asyncio

from actors.archive import Archive
from anmei.clock import now_ms
from anmei.commands_changes import SweepAudit
from anmei.errors import AnmeiError

DAY = 86_400_000  # ms
PAUSE = 600.0  # seconds between two sweeps
PATIENCE = 60.0  # seconds that one may take


class AuditSweep:
    """Removes the rows of the audit that are older than `days`, a part at a time; 0: none."""

    def __init__(self, archive: Archive, days: int, pause: float = PAUSE) -> None:
        self._archive = archive
        self._days = days
        self._pause = pause

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        if not self._days:
            await asyncio.get_running_loop().create_future()
        while True:
            command = SweepAudit(before=now_ms() - self._days * DAY)
            try:
                reply = await self._archive.ask(command, PATIENCE)
            except AnmeiError:
                reply = {"removed": 0}  # another time
            if reply["removed"] < command.most:
                await asyncio.sleep(self._pause)
