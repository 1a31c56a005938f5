"""Frames that ask for what is in the store: one function a frame type."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from actors.device import Device
from actors.replay import Replay, complete, keyed
from anmei import frames
from anmei.close_codes import CloseCode
from anmei.errors import AnmeiError, ErrorCode, not_found
from db import queries

RETRY_AFTER_MS = 1_000


if TYPE_CHECKING:
    from actors.user import UserActor


def history(user: "UserActor", device: Device, id: str | None, data: frames.History) -> None:
    if data.before_seq is not None and data.after_seq is not None:
        raise AnmeiError(ErrorCode.BAD_REQUEST, "history: give before_seq or after_seq, not both")
    user.read(device, id, partial(_history, user, device, id, data))


async def _history(user: "UserActor", device: Device, id: str | None, data: frames.History) -> None:
    key = user.place(device, data.conversation_id)
    reading = user.router.store.read(
        queries.history, user.key, key, data.before_seq, data.after_seq, data.limit
    )
    # The store's own limit does not run on a link that has gone silent.
    patience = 4 * user.router.settings.db_timeout / 1000
    try:
        page = await asyncio.wait_for(asyncio.wrap_future(reading), patience)
    except TimeoutError:
        raise AnmeiError(
            ErrorCode.TIMEOUT, f"the database did not answer for {patience:g} s"
        ) from None
    if page is None:
        raise not_found("conversation")
    await device.room()
    user.acknowledge(device, id, {"conversation_id": data.conversation_id, **page})


def sync(user: "UserActor", device: Device, id: str | None, data: frames.Sync) -> None:
    waiting = device.sync_requested
    if device.replaying or (waiting is not None and waiting.done()):
        raise AnmeiError(
            ErrorCode.OVERLOADED, "a sync of this connection is under way", retry_after_ms=500
        )
    if waiting is not None:
        device.preference_place = data.preferences or 0
        waiting.set_result(data)
    else:
        router = user.router
        replay = Replay(
            device,
            keyed(device, data),
            store=router.store,
            limit=router.settings.limit_replay,
            total=router.settings.limit_replay_total,
            counters=router.counters,
        )
        user.read(device, None, partial(_sync, user, device, data, replay))
        device.replaying = True
        replay.begin()  # or what goes out right behind the answer would come twice
    user.acknowledge(device, id, {})


async def _sync(user: "UserActor", device: Device, data: frames.Sync, replay: Replay) -> None:
    router = user.router
    try:
        report = await replay.run()
        preferences = None
        if data.preferences is not None:
            preferences = await router.agreement.replay(device, data.preferences)
    except BaseException:
        # What came meanwhile is held behind a replay that will not end: from here on the
        # device would miss it. It comes back and syncs.
        device.close(CloseCode.OVERLOADED, "the sync could not be finished", RETRY_AFTER_MS)
        raise
    finally:
        device.replaying = False
    device.push_now(complete(report, preferences))
    router.agreement.synced(device, report)


HANDLERS: dict[str, Callable[..., None]] = {
    "history": history,
    "sync": sync,
}
