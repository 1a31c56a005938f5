"""Revocations: tokens that were taken back, in force on every node.

The store is the truth. Every node reads what is new in it twice a second, by a number that grows
in the order of the commits; whoever revokes tells the others at once besides, so that it usually
takes no longer than a message does, and holds on a node that cannot read the store.
"""

import asyncio
import logging

import msgspec

from actors.bus import Envelope
from actors.keyring import REVOKED
from actors.router import Router
from anmei.clock import now_ms
from anmei.close_codes import CloseCode
from anmei.commands import Outcome
from anmei.commands_tokens import RevokeTokens, SweepRevocations
from anmei.errors import AnmeiError
from anmei.principal import Principal
from anmei.revocation import Revocation, RevokedTokens
from anmei.settings import Settings
from db import queries
from db.errors import StoreUnavailable
from db.store import Store

POLL = 0.5  # seconds between two looks
PART = 1_000  # revocations that are read in one go
SWEEP = 60.0  # seconds between two sweeps
KIND = "revoked"

log = logging.getLogger("anmei.revocations")


class Revocations:
    """What is revoked, as this node knows it. `load` comes before anybody is let in."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokens = RevokedTokens()
        #: The highest number that was read.
        self._seen = 0
        self._router: Router | None = None

    def __len__(self) -> int:
        return len(self._tokens)

    def covers(self, principal: Principal) -> bool:
        """Whether the token of `principal` is revoked."""
        return self._tokens.covers(principal)

    async def load(self) -> None:
        """Reads what is new. Raises StoreUnavailable."""
        while True:
            found = await asyncio.wrap_future(
                self._store.read(queries.revocations_since, self._seen, PART)
            )
            self._take(found)
            if found:
                self._seen = found[-1].number
            if len(found) < PART:
                return

    def attend(self, router: Router) -> None:
        """From now on the connections of `router` end when their token is revoked, and other nodes
        are heard."""
        self._router = router
        router.relay.hear(KIND, self._came)

    async def run(self) -> None:
        """Follows the store until it is cancelled."""
        loop = asyncio.get_running_loop()
        swept_at = loop.time()
        assert self._router is not None
        archive = self._router.archive
        while True:
            await asyncio.sleep(POLL)
            if loop.time() - swept_at > SWEEP:
                swept_at = loop.time()
                if self._tokens.sweep(now_ms()):
                    archive.submit(SweepRevocations(at=now_ms()), lambda outcome: None)
            try:
                if archive.down:
                    raise StoreUnavailable("the archive waits for it")
                await self.load()
            except (StoreUnavailable, AnmeiError):
                # It may come back as another server, where numbers begin lower.
                self._seen = 0

    def announce(self, outcome: Outcome) -> tuple[int, int]:
        """A revocation was committed here: in force here at once, and told to the others. Returns
        how many connections of this node it ended, and how many nodes were told."""
        assert self._router is not None
        revocation = msgspec.convert(outcome.reply, Revocation)
        ended = self._take([revocation])
        return ended, self._router.relay.tell({"kind": KIND, "revoked": outcome.reply})

    def _came(self, envelope: Envelope) -> None:
        self._take([msgspec.convert(envelope["revoked"], Revocation)])

    def _take(self, revocations: list[Revocation]) -> int:
        news = self._tokens.add(revocations)
        router = self._router
        if not news or router is None:
            return 0
        if all(revocation.user_key is not None for revocation in news):
            users = [key for revocation in news if (key := revocation.user_key) is not None]
            devices = [device for key in users for device in router.devices_of(key)]
        else:
            devices = list(router.devices())
        ended = [device for device in devices if self.covers(device.principal)]
        for device in ended:
            device.close(CloseCode.UNAUTHORIZED, REVOKED)
        return len(ended)


def revoke_command(settings: Settings, tenant: str, subject: str, before: int = 0) -> RevokeTokens:
    """The command that revokes `subject` for as long as any token of now can last."""
    now = now_ms()
    lasts = settings.jwt_max_lifetime + 2 * settings.jwt_leeway
    return RevokeTokens(
        tenant=tenant,
        subject=subject,
        before=before,
        created_at=now,
        expires_at=now + lasts * 1000,
        most=settings.limit_revocations,
    )
