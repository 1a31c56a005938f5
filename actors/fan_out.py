"""Fan-out: one event for all devices of a conversation."""

from collections.abc import Collection

from actors.device import Device
from actors.flusher import ENOUGH
from anmei.event import Event


def fan_out(
    devices: Collection[Device], conversation_key: str, change_seq: int, event: Event
) -> int:
    """`deliver` to each of them; the common case is written out, since it is what a delivery
    costs. Returns the deliveries that were not counted by `push`."""
    frame = event.frame
    size = len(frame)
    count = len(devices)
    added: list[Device] = []
    for device in devices:
        queued = device.queued + size
        if queued <= device.straight:
            device.queued = queued
            pending = device.pending
            if not pending:
                added.append(device)
            pending.append(frame)
            if queued > ENOUGH:
                device.hurry()
        else:
            count -= 1
            device.deliver(conversation_key, change_seq, event)
    if added:
        added[0].flusher.add_all(added)
    return count
