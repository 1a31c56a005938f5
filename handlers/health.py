"""Whether this process lives, and whether it should be sent requests."""

from handlers.api import ApiHandler
from handlers.readiness import Readiness


class Healthz(ApiHandler):
    """`/healthz`: 200 as long as the loop turns"""

    needs = None

    def get(self) -> None:
        self.reply(200, {"status": "ok"})


class Readyz(ApiHandler):
    """`/readyz`: 200, also while `degraded`, or 503 while draining or without a part it needs"""

    needs = None

    def initialize(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def get(self) -> None:
        checks = await self._readiness.check()
        ready = all(state == "ok" for state in checks.values())
        if not ready:
            self.set_header("Retry-After", "2")
        problems = self._readiness.problems()
        status = "not ready" if not ready else "degraded" if problems else "ready"
        answer: dict[str, object] = {"status": status, "checks": checks}
        if problems:
            answer["problems"] = problems
        self.reply(200 if ready else 503, answer)
