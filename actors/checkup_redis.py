"""What there is to say of a Redis: whether it answers, takes writes, and keeps the same time."""

import asyncio
import time

from actors.bus import Checkup
from actors.link_redis import RedisDown, RedisLink, make_link
from anmei.settings import Settings

CLOCK_TOLERANCE = 5.0  # seconds between its clock and ours
KEPT_MS = 1_000  # how long what is written to try it stays

#: In one go, since a cluster would send commands without a key anywhere.
_SCRIPT = f"""
local wrote = redis.pcall('SET', KEYS[1], '1', 'PX', {KEPT_MS})
local info = redis.pcall('INFO', 'server')
local now = redis.call('TIME')
return {{wrote['err'] or '', type(info) == 'string' and info or '', now[1], now[2]}}
"""


async def check_up(link: RedisLink, prefix: str) -> Checkup:
    """Asks the Redis behind `link`, writing one key that begins with `prefix`. Never fails."""
    begun, asked = time.monotonic(), time.time()
    try:
        ((refusal, info, second, micros),) = await link.run(
            [("EVAL", _SCRIPT, 1, f"{prefix}:checkup")]
        )
    except RedisDown as error:
        return Checkup(problem=f"Redis cannot be used: {error}")
    took = time.monotonic() - begun
    off = int(second) + int(micros) / 1e6 - (asked + took / 2)
    problem = None
    if refusal:
        problem = f"Redis takes no writes: {refusal.decode(errors='replace')[:200]}"
    elif abs(off) > CLOCK_TOLERANCE + took:
        problem = f"the clock of Redis is {abs(off):.0f} s off ours: set both by NTP"
    return Checkup(
        reachable=True,
        writable=not refusal,
        version=_version(info.decode(errors="replace")),
        clock_off_ms=round(off * 1000),
        took_ms=round(took * 1000, 1),
        problem=problem,
    )


def examine_redis(settings: Settings) -> Checkup:
    """The same from outside of a running server. Blocks; raises SettingsError."""

    async def work() -> Checkup:
        link = make_link(settings.redis_url, settings.redis_password)
        prefix = settings.redis_prefix
        try:
            return await check_up(link, f"{{{prefix}}}" if link.tagged else prefix)
        finally:
            await link.close()

    return asyncio.run(work())


def _version(info: str) -> str | None:
    for line in info.splitlines():
        name, _, value = line.partition(":")
        if name == "redis_version":
            return value.strip()
    return None
