"""The inboxes that are open on this node: what comes to them, and who looks into another's."""

import asyncio
from collections.abc import Callable, Container
from functools import partial

from actors.device import Device
from actors.presence import OFFLINE, Presence
from actors.supervisor import Supervisor
from anmei.commands import Change, Post
from anmei.inbox import arrival, inbox_key

PART = 200  # inboxes that one message is delivered to in one tick


class Inboxes:
    """Makes one numbered event of a message for each inbox it came to; and knows the devices of
    admins that watch somebody else's inbox.

    A watched inbox is a place of its own in the table of who is where: what comes to it is sent to
    this node, and its owner is not shown as online for it.
    """

    def __init__(
        self,
        users: Container[str],
        presence: Presence,
        supervisor: Supervisor,
        offer: Callable[[Change], None],
    ) -> None:
        """`users`: the keys of the users here; `offer` takes an event to its devices here."""
        self._users = users
        self._presence = presence
        self._supervisor = supervisor
        self._offer = offer
        #: Who watches which inbox here, by its key.
        self.watched: dict[str, dict[Device, None]] = {}

    def arrive(self, post: Post) -> None:
        """A message that came to inboxes, wherever it was committed."""
        here = [
            user_key
            for user_key in post.numbers
            if user_key in self._users or inbox_key(user_key) in self.watched
        ]
        if len(here) <= PART:
            self._deliver(post, here)
        else:
            self._supervisor.spawn("post", partial(self._deliver_slowly, post, here))

    def watch(self, device: Device) -> None:
        """The device is here, and may be one that watches."""
        if device.watches is not None:
            self.watched.setdefault(device.watches, {})[device] = None
            self._enter(device.watches)

    def unwatch(self, device: Device) -> None:
        """The device is gone."""
        key = device.watches
        if key is None:
            return
        del self.watched[key][device]
        if self.watched[key]:
            self._enter(key)
        else:
            del self.watched[key]
            self._presence.leave(key)

    def _enter(self, key: str) -> None:
        connections = {one.connection_id: one.connected_at for one in self.watched[key]}
        self._presence.enter(key, OFFLINE, connections)

    def _deliver(self, post: Post, user_keys: list[str]) -> None:
        for user_key in user_keys:
            self._offer(arrival(post, user_key))

    async def _deliver_slowly(self, post: Post, user_keys: list[str]) -> None:
        """To thousands a part at a time, so that nobody else waits for all of them."""
        for start in range(0, len(user_keys), PART):
            self._deliver(post, user_keys[start : start + PART])
            await asyncio.sleep(0)
