"""Fan-out: one event for all devices of a conversation."""

from collections.abc import Collection
from sys import maxsize

from actors.bundle import Bundle
from actors.device import Device
from actors.flusher import ENOUGH
from anmei.event import Event


def fan_out(
    devices: Collection[Device],
    conversation_key: str,
    change_seq: int,
    event: Event,
    bundle: Bundle | None = None,
) -> int:
    """`deliver` to each of them; the common cases are written out, since they are what a delivery
    costs. `bundle` is that of the conversation; who is in it is one of `devices`. Returns the
    deliveries that were not counted by `push`."""
    frame = event.frame
    size = len(frame)
    count = len(devices)
    others = devices
    # Who is kept waiting anyhow waits together: from `now` on, or until `then` beside a bundle.
    now = then = maxsize
    if bundle is not None:
        bundle.make_room(size)
        if bundle.size:
            bundle.append(frame)
            then = bundle.parked or maxsize
            if bundle.others is not None:
                others = bundle.others
        else:
            now = bundle.now()
    added: list[Device] = []
    alone: list[Device] = []
    together: list[Device] = []
    for device in others:
        queued = device.queued + size
        if queued <= device.straight:
            pending = device.pending
            if not pending:
                turn = device.turn
                if turn > now and queued == size:
                    together.append(device)
                    continue
                if turn > then:
                    device.turn = then
                added.append(device)
            device.queued = queued
            pending.append(frame)
            if queued > ENOUGH:
                device.hurry()
        elif bundle is not None and device.bundle is bundle:
            continue
        else:
            count -= 1
            device.deliver(conversation_key, change_seq, event)
        alone.append(device)
    if bundle is not None:
        if together:
            bundle.open(together, frame)
        bundle.others = alone if bundle.size else None
    if added:
        added[0].flusher.add_all(added)
    return count
