"""The relay: what a node's router tells the others, as envelopes, and what theirs tell this one."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.bus import Bus, Envelope
from actors.presence import Presence
from actors.sequencer import Sequencer
from anmei.commands import Audience, Change, Post
from anmei.errors import AnmeiError
from anmei.event import Event
from anmei.ids import id_of, make_key, tenant_of
from anmei.inbox import audience_of, inbox_key, is_inbox
from db import queries
from db.errors import StoreUnavailable

if TYPE_CHECKING:
    from actors.router import Router

#: Bytes of ids and numbers that one envelope of a post has: with the longest message it stays below
#: what may travel at once.
MOST_POST_BYTES = 393_216
NUMBER_BYTES = 24  # about what a number takes besides its id, as JSON

log = logging.getLogger("anmei.relay")


class Relay:
    """Envelopes out and in. One publish a node that is concerned, whatever the audience's size."""

    def __init__(self, bus: Bus, presence: Presence, router: "Router") -> None:
        self._bus = bus
        self._presence = presence
        self._router = router
        #: Who hears the envelopes of a kind that are nothing to the router.
        self._hearers: dict[str, Callable[[Envelope], None]] = {}

    @property
    def alone(self) -> bool:
        """Whether there is nobody to tell."""
        return not self._bus.shared

    def listen(self) -> None:
        self._bus.listen(self._receive, self._router.gap)

    def hear(self, kind: str, receive: Callable[[Envelope], None]) -> None:
        """From now on `receive` gets the envelopes of this kind."""
        self._hearers[kind] = receive

    # Out

    def change(self, change: Change, concerned: frozenset[str]) -> None:
        """A numbered event, to the nodes that hold somebody who is concerned."""
        nodes = self._presence.nodes(concerned)
        if nodes:
            self._publish(
                nodes,
                {
                    "kind": "change",
                    "key": change.conversation_key,
                    "seq": change.change_seq,
                    "type": change.type,
                    "data": change.data,
                    "version": change.audience.version,
                    "removed": list(change.removed),
                    "joined": list(change.joined),
                },
            )

    def post(self, post: Post) -> None:
        """A message that came to inboxes: to each node that holds some of the users, for all of
        them at once, in several envelopes only where their ids are very many and very long."""
        if self.alone or not post.numbers:
            return
        found: dict[str, dict[str, int]] = {}
        tenant = tenant_of(next(iter(post.numbers)))
        for user_key, number in post.numbers.items():
            for node_id in self._presence.nodes((user_key, inbox_key(user_key))):
                found.setdefault(node_id, {})[id_of(user_key)] = number
        for node_id, numbers in found.items():
            for part in _parts(numbers):
                envelope = {"kind": "post", "message": post.message, "tenant": tenant}
                self._bus.publish(node_id, {**envelope, "numbers": part})

    def whisper(self, sequencer: Sequencer, type: str, data: dict[str, Any]) -> None:
        """An event of a conversation that is not kept."""
        envelope = {"kind": "whisper", "key": sequencer.key, "type": type, "data": data}
        if sequencer.members is not None:
            self._publish(self._presence.nodes(sequencer.members), envelope)
        elif not self.alone:
            # Nothing was said since anybody came, so who takes part is not known here.
            self._bus.publish_all(envelope)

    def mark(self, key: str, user_keys: tuple[str, ...], type: str, data: dict[str, Any]) -> None:
        """A receipt: an event of one conversation for some of its members."""
        nodes = self._presence.nodes(user_keys)
        if nodes:
            envelope = {"kind": "mark", "key": key, "users": list(user_keys)}
            self._publish(nodes, {**envelope, "type": type, "data": data})

    def users(self, user_keys: tuple[str, ...], type: str, data: dict[str, Any]) -> None:
        """An event without a number for all devices of some users."""
        nodes = self._presence.nodes(user_keys)
        if nodes:
            envelope = {"kind": "users", "users": list(user_keys), "type": type, "data": data}
            self._publish(nodes, envelope)

    def shown(self, user_key: str, name: str, last_seen: int | None, keys: list[str]) -> None:
        """A user of this node is shown differently to the people of these conversations."""
        if not self.alone:
            envelope = {"kind": "shown", "user": user_key, "name": name, "keys": keys}
            self._bus.publish_all({**envelope, "last_seen": last_seen})

    def kick(self, user_key: str, reason: str) -> int:
        """All connections of the user end, wherever they are. Returns how many other nodes were
        told."""
        return self.tell({"kind": "kick", "user": user_key, "reason": reason})

    def status(self, user_key: str, status: str, at: int) -> None:
        """A user wants to be shown differently, on whatever node."""
        envelope = {"kind": "status", "user": user_key, "status": status, "at": at}
        self._publish(self._presence.nodes((user_key,)), envelope)

    def tenant(self, tenant: str, type: str, data: dict[str, Any]) -> int:
        """An event for everybody of a tenant who is connected. Returns how many other nodes were
        told."""
        return self.tell({"kind": "tenant", "tenant": tenant, "type": type, "data": data})

    def tell(self, envelope: Envelope) -> int:
        """Something for every other node. Returns how many are told; none while the bus has a
        problem, though some may be."""
        if self.alone:
            return 0
        self._bus.publish_all(envelope)
        return self._bus.others if self._bus.problem is None else 0

    def _publish(self, nodes: Iterable[str], envelope: Envelope) -> None:
        for node_id in nodes:
            self._bus.publish(node_id, envelope)

    # In

    def _receive(self, envelope: Envelope) -> None:
        router, kind = self._router, envelope["kind"]
        if kind == "presence":
            self._presence.receive(envelope)
        elif kind == "change":
            self._change(envelope)
        elif kind == "post":
            tenant, numbers = envelope["tenant"], envelope["numbers"]
            keys = {make_key(tenant, user_id): number for user_id, number in numbers.items()}
            router.inboxes.arrive(Post(envelope["message"], keys))
        elif kind == "whisper":
            sequencer = router.sequencers.get(envelope["key"])
            if sequencer is not None:
                router.whisper_here(sequencer, Event.of(envelope["type"], envelope["data"]), None)
        elif kind == "mark":
            event = Event.of(envelope["type"], envelope["data"])
            key, users = envelope["key"], envelope["users"]
            router.tell_here(key, users, event)
            router.agreement.told(key, users, envelope["type"], envelope["data"])
        elif kind == "shown":
            router.news.said(
                envelope["user"], envelope["name"], envelope["last_seen"], envelope["keys"]
            )
        elif kind == "status":
            router.agreement.take_status(envelope["user"], envelope["status"], envelope["at"])
        elif kind == "kick":
            router.kick_here(envelope["user"], envelope["reason"])
        elif kind == "users":
            router.to_users(envelope["users"], Event.of(envelope["type"], envelope["data"]))
        elif kind == "tenant":
            router.broadcast_here(envelope["tenant"], Event.of(envelope["type"], envelope["data"]))
        elif kind in self._hearers:
            self._hearers[kind](envelope)
        else:
            log.warning("an envelope of the kind %r: from a newer version?", kind)

    def _change(self, envelope: Envelope) -> None:
        """A numbered event from another node, delivered by a membership at least as new as the
        one it was committed under."""
        key = envelope["key"]
        sequencer = self._router.sequencers.get(key)
        if is_inbox(key):
            self._offer(envelope, audience_of(key))
        elif (
            sequencer is not None
            and sequencer.members is not None
            and sequencer.version >= envelope["version"]
        ):
            self._offer(envelope, Audience(sequencer.version, sequencer.members))
        else:
            self._router.supervisor.spawn("audience", partial(self._with_audience, envelope))

    async def _with_audience(self, envelope: Envelope) -> None:
        key = envelope["key"]
        try:
            audience = await asyncio.wrap_future(self._router.store.read(queries.audience, key))
        except (StoreUnavailable, AnmeiError):
            # The sequencer asks the store for it, again and again until it answers.
            sequencer = self._router.sequencers.get(key)
            if sequencer is not None:
                sequencer.expect(envelope["seq"])
            return
        if audience is not None:
            self._offer(envelope, audience)

    def _offer(self, envelope: Envelope, audience: Audience) -> None:
        self._router.offer(
            Change(
                envelope["key"],
                envelope["seq"],
                envelope["type"],
                envelope["data"],
                audience,
                tuple(envelope["removed"]),
                tuple(envelope.get("joined", ())),
            )
        )


def _parts(numbers: dict[str, int]) -> Iterator[dict[str, int]]:
    """The numbers of a post in pieces that may travel."""
    part: dict[str, int] = {}
    room = MOST_POST_BYTES
    for user_id, number in numbers.items():
        room -= len(user_id) + NUMBER_BYTES
        if part and room < 0:
            yield part
            part, room = {}, MOST_POST_BYTES - len(user_id) - NUMBER_BYTES
        part[user_id] = number
    yield part
