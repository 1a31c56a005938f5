"""Whether this process can serve, and which part stands in the way."""

import asyncio
from concurrent.futures import Future
from typing import cast

from anmei.errors import AnmeiError
from db import queries
from db.errors import StoreUnavailable
from handlers.services import Services

KEPT = 1.0  # seconds for which an answer of the database holds: anybody may ask, at any rate
PATIENCE = 2.0  # seconds that the database may take


class Readiness:
    """Looks at each part. One look at the database is shared by all who ask meanwhile."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._look: asyncio.Task[None] | None = None
        self._answers = False
        self._looked_at = float("-inf")

    async def check(self) -> dict[str, str]:
        """The state of each part, `ok` where nothing is wrong."""
        services = self._services
        return {
            "serving": "draining" if services.router.draining else "ok",
            "database": "ok" if await self._database() else "down",
            "keys": self._keys(),
        }

    def problems(self) -> dict[str, str]:
        """What is wrong and does not stop this process from serving, a sentence for each part."""
        parts = {"bus": self._services.bus.problem, "presence": self._services.presence.problem}
        return {part: problem for part, problem in parts.items() if problem is not None}

    def _keys(self) -> str:
        try:
            self._services.keyring.signer  # noqa: B018 - asked for what it raises
        except AnmeiError:
            return "missing"
        return "ok"

    async def _database(self) -> bool:
        services = self._services
        if services.archive.down:
            return False
        now = services.loop.time()
        if self._look is None or (self._look.done() and now - self._looked_at > KEPT):
            self._looked_at = now
            self._look = services.router.supervisor.spawn("readiness", self._ask)
        # Whoever gives up waiting does not end the look of the others.
        done, _ = await asyncio.wait([self._look], timeout=PATIENCE)
        return bool(done) and self._answers

    async def _ask(self) -> None:
        future = cast("Future[bool]", self._services.store.read(queries.ping))
        try:
            self._answers = await asyncio.wrap_future(future)
        except (StoreUnavailable, AnmeiError):
            self._answers = False
