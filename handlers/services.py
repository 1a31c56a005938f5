"""What every handler is handed: the parts of the running server, and nothing made by itself."""

import asyncio
from dataclasses import dataclass

from actors.archive import Archive
from actors.bus import Bus
from actors.counters import Counters
from actors.files import Files
from actors.flusher import Flusher
from actors.heartbeat import Heartbeat
from actors.keyring import Keyring
from actors.presence import Presence
from actors.reckoning import Reckoning
from actors.revocations import Revocations
from actors.router import Router
from anmei.settings import Settings
from db.store import Store
from handlers.request_limit import RequestLimit


@dataclass(frozen=True, slots=True)
class Services:
    """One running server."""

    settings: Settings
    loop: asyncio.AbstractEventLoop
    counters: Counters
    store: Store
    archive: Archive
    bus: Bus
    presence: Presence
    router: Router
    reckoning: Reckoning
    keyring: Keyring
    revocations: Revocations
    flusher: Flusher
    heartbeat: Heartbeat
    files: Files
    request_limit: RequestLimit
