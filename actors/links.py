"""What ties a node to others."""

import asyncio
from pathlib import Path

from actors.archive import Listener
from actors.bus import Bus
from actors.bus_memory import MemoryBus
from actors.counters import Counters
from actors.development_secret import development_secret
from actors.presence import Presence
from actors.presence_memory import MemoryPresence
from actors.reckoning import Reckoning
from actors.router import Router
from actors.supervisor import Supervisor
from anmei.settings import Settings, split


async def make_links(
    node_id: str,
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    supervisor: Supervisor,
    counters: Counters,
) -> tuple[Bus, Presence]:
    """What ties this node to others: through Redis where that is set, or nothing at all."""
    if not settings.redis_url:
        return MemoryBus(node_id, loop), MemoryPresence(node_id)
    # Loaded by who needs it: the client takes a third of the time that a start takes.
    from actors.bus_redis import RedisBus
    from actors.presence_redis import RedisPresence

    secrets = list(split(settings.secret or settings.jwt_secret))
    if not secrets:
        secrets = [await asyncio.to_thread(development_secret, Path(settings.data_dir))]
    bus = RedisBus(
        node_id,
        settings.redis_url,
        settings.redis_password,
        secrets,
        loop,
        supervisor,
        counters,
        settings.redis_prefix,
    )
    return bus, RedisPresence(node_id, bus, loop, supervisor)


def make_reckoning(settings: Settings, heard: Listener, router: Router, bus: Bus) -> Reckoning:
    """What counts the unread of users in all, at work, with what other programs read in Redis
    where there is that and it is wanted."""
    mirror = None
    if settings.redis_url and settings.redis_mirror:
        from actors.bus_redis import RedisBus
        from actors.mirror_redis import RedisMirror

        assert isinstance(bus, RedisBus)
        mirror = RedisMirror(bus.link, bus, router.store)
        mirror.attend(router.relay)
        router.supervisor.start("mirror", mirror.run)
    reckoning = Reckoning(heard, router, mirror)
    router.agreement.attend(reckoning.synced, reckoning.unsure)
    router.supervisor.start("reckoning", reckoning.run)
    return reckoning
