"""The router: who is connected here, and the one way for an event to reach a device."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from actors.agreement import Agreement
from actors.archive import Archive
from actors.bus import Bus
from actors.counters import Counters
from actors.device import Device
from actors.inboxes import Inboxes
from actors.newcomers import Newcomers
from actors.presence import OFFLINE, Presence
from actors.presence_news import PresenceNews
from actors.receipts import Receipts
from actors.relay import Relay
from actors.repair import Repair
from actors.resend import Resend
from actors.sequencer import Sequencer
from actors.supervisor import Supervisor
from actors.transport import Stranger
from actors.user import UserActor
from anmei.clock import now_ms
from anmei.close_codes import CloseCode
from anmei.commands import Change, Outcome
from anmei.event import Event
from anmei.ids import id_of, tenant_of
from anmei.inbox import concerned, inbox_key, is_inbox
from anmei.settings import Settings
from db import queries
from db.store import Store

MOST_SHOWN = 500  # conversations whose people are told on other nodes

log = logging.getLogger("anmei.router")


class Router:
    """Owns the table of users and the sequencers; nobody else creates or retires either.

    Everything that changes the table is a plain function, so no two changes can interleave.
    """

    def __init__(
        self,
        node_id: str,
        *,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        store: Store,
        archive: Archive,
        presence: Presence,
        bus: Bus,
        supervisor: Supervisor,
        counters: Counters,
    ) -> None:
        self.node_id = node_id
        self.settings = settings
        self.store = store
        self.archive = archive
        self.presence = presence
        self.supervisor = supervisor
        self.counters = counters
        self.users: dict[str, UserActor] = {}
        self.sequencers: dict[str, Sequencer] = {}
        #: Users in their grace time: nobody of them is connected.
        self._lingering: dict[UserActor, None] = {}
        #: Connections whose user is not known yet.
        self.strangers: set[Stranger] = set()
        self.draining = False
        self._loop = loop
        self.agreement = Agreement(self, self.users)
        self._receipts = Receipts(loop, self._tell)
        self.newcomers = Newcomers(self)
        self._repair = Repair(store, bus, supervisor, self.newcomers, self.agreement)
        self.resend = Resend(settings, loop, store=store, supervisor=supervisor, counters=counters)
        self.relay = Relay(bus, presence, self)
        most = settings.limit_presence_members
        self.news = PresenceNews(presence, self.sequencers, most, loop, store, supervisor)
        self.inboxes = Inboxes(self.users, presence, supervisor, self.offer)
        self._connections = 0

    @property
    def connections(self) -> int:
        """Connections of this process that are attached."""
        return self._connections

    def listen(self) -> None:
        """Begins to hear other nodes."""
        self.relay.listen()
        self.presence.on_change(self._changed_elsewhere)

    # Coming and going

    def attach(self, device: Device) -> UserActor:
        """Takes a device in; its user's actor is made, or found in its grace time."""
        key = device.principal.key
        user = self.users.get(key)
        if user is None:
            user = UserActor(key, self)
            user.task = self.supervisor.start("user", user.run)
            self.users[key] = user
        user.stay()
        self._lingering.pop(user, None)
        user.name = device.principal.name
        user.devices[device] = None
        self.enter(user)
        self.inboxes.watch(device)
        self._connections += 1
        self.counters.connections += 1
        self._replace_oldest(user)
        return user

    def arrived(self, device: Device) -> None:
        """The device is seated: the first one of a user shows him as online, to those in one
        conversation where it is a device of that alone."""
        user = self.users.get(device.principal.key)
        breadth = 1 if device.only is not None else 2
        if user is None:
            return
        if breadth == 2:
            user.left.clear()
        if user.shown < breadth:
            user.shown = breadth
            self.show(user)

    def detach(self, device: Device, code: int) -> None:
        """A connection ended with `code`. More than once does nothing."""
        user = self.users.get(device.principal.key)
        if user is None or device not in user.devices:
            return
        for key in list(device.viewing):
            self.look_at(device, key, joined=False)
        user.left.update(device.conversations)
        del user.devices[device]
        self.inboxes.unwatch(device)
        self._connections -= 1
        self.counters.closes[code] += 1
        device.ended()
        if device.task is not None:
            device.task.cancel()
        for key in list(device.conversations):
            self.unseat(device, key)
        if not user.devices:
            # A person who leaves says so (1000); a page that reloads and a link that breaks do not.
            clean = code in (1000, CloseCode.DISCONNECTED)
            user.leave(0.0 if clean else self.settings.presence_grace / 1000)
            self._lingering[user] = None
        self.enter(user)

    def retire(self, user: UserActor) -> None:
        """The user's grace time is over, and nobody came back."""
        if user.devices or self.users.get(user.key) is not user:
            return
        del self.users[user.key]
        self._lingering.pop(user, None)
        self.presence.leave(user.key)
        if user.shown:
            self.show(user, now_ms())
        if user.task is not None:
            user.task.cancel()

    def seat(self, device: Device, place: queries.Place) -> None:
        """Lets the device hear a conversation from now on."""
        key = place.conversation_key
        if isinstance(device.meanwhile.get(key), Event):
            return  # put out since the place was read
        sequencer = self.sequencers.get(key)
        if sequencer is None:
            sequencer = self._sequencer(key, place.change_seq)
        elif not is_inbox(key) and not sequencer.admits(device.principal.key):
            return
        if not sequencer.size:
            sequencer.size = place.participant_count
        sequencer.seat(device)
        device.conversations[key] = sequencer

    def unseat(self, device: Device, key: str) -> None:
        """The device hears a conversation no longer, without a word."""
        device.release(key)
        sequencer = device.conversations.pop(key, None)
        if sequencer is not None:
            sequencer.unseat(device)
            if not sequencer.devices:
                self._drop(sequencer)

    def check_later(self, device: Device) -> None:
        """The device has come to its conversations, which other nodes are only just told."""
        if not self.relay.alone:
            self._repair.check_later(device, self.sequencers)

    def look_at(self, device: Device, key: str, *, joined: bool) -> None:
        """The device begins or ceases to show a conversation; its members are told."""
        sequencer = device.conversations.get(key)
        if sequencer is None or (key in device.viewing) == joined:
            return
        (device.viewing.add if joined else device.viewing.discard)(key)
        data = {
            "conversation_id": id_of(key),
            "user_id": device.principal.user_id,
            "device_id": device.device_id,
        }
        self.whisper(device, key, "session_joined" if joined else "session_left", data)

    # Events

    def apply(self, outcome: Outcome) -> None:
        """Routes what a committed command has changed."""
        for change in outcome.changes:
            self.route(change)
        if outcome.mark is not None:
            self._receipts.moved(outcome.mark)
        for told in outcome.told:
            self._tell(told.conversation_key, (told.user_key,), told.type, told.data)
            self.agreement.told(told.conversation_key, (told.user_key,), told.type, told.data)
        if outcome.post is not None:
            self.relay.post(outcome.post)
            self.inboxes.arrive(outcome.post)

    def route(self, change: Change) -> None:
        """A numbered event that was committed here: local devices at once, then one publish for
        each other node that holds one of the audience."""
        self.offer(change)
        self.relay.change(change, concerned(change))

    def whisper(self, device: Device, key: str, type: str, data: dict[str, Any]) -> None:
        """An event of one conversation that is not kept: to everybody in it but `device`."""
        sequencer = device.conversations.get(key)
        if sequencer is None:
            return
        self.whisper_here(sequencer, Event.of(type, data), device)
        self.relay.whisper(sequencer, type, data)

    def to_users(self, user_keys: Iterable[str], event: Event) -> int:
        """An unnumbered event for these users, to their devices here that have been welcomed, but
        for those of one conversation, or of somebody else's inbox. Returns how many got it."""
        count = 0
        for user_key in user_keys:
            for device in self.devices_of(user_key):
                if device.ready is None and device.only in (None, inbox_key(user_key)):
                    device.push(event)
                    count += 1
        return count

    def broadcast(self, tenant: str, type: str, data: dict[str, Any]) -> tuple[int, int]:
        """An unnumbered event for everybody of a tenant who is connected. Returns how many devices
        of this node got it, and how many nodes were told."""
        nodes = 1 + self.relay.tenant(tenant, type, data)
        return self.broadcast_here(tenant, Event.of(type, data)), nodes

    def broadcast_here(self, tenant: str, event: Event) -> int:
        return self.to_users([key for key in self.users if tenant_of(key) == tenant], event)

    def kick(self, user_key: str, reason: str) -> tuple[int, int]:
        """Ends all connections of a user. Returns how many there were on this node, and how many
        nodes were told."""
        nodes = 1 + self.relay.kick(user_key, reason)
        return self.kick_here(user_key, reason), nodes

    def kick_here(self, user_key: str, reason: str) -> int:
        devices = list(self.devices_of(user_key))
        for device in devices:
            device.close(CloseCode.DISCONNECTED, reason)
        return len(devices)

    def devices_of(self, user_key: str) -> Iterable[Device]:
        user = self.users.get(user_key)
        return user.devices if user is not None else ()

    def devices(self) -> Iterator[Device]:
        for user in self.users.values():
            yield from user.devices

    def gap(self) -> None:
        """Something may have passed unseen."""
        self._repair.close_gap(self.sequencers, self.users)
        self.agreement.close_gap()

    def close(self) -> None:
        for sequencer in self.sequencers.values():
            sequencer.close()

    # Inside

    def enter(self, user: UserActor) -> None:
        connections = {device.connection_id: device.connected_at for device in user.devices}
        self.presence.enter(user.key, user.status, connections)

    def _replace_oldest(self, user: UserActor) -> None:
        """Ends the connections here that are too many, those on other nodes counted in. Every
        node judges by the same table, so together they end the oldest and no other."""
        everywhere = sorted(
            (came, connection_id)
            for seat in self.presence.seats(user.key).values()
            for connection_id, came in seat.connections.items()
        )
        most = self.settings.limit_connections_per_user
        if len(everywhere) <= most:
            return
        oldest = {connection_id for _, connection_id in everywhere[:-most]}
        for device in [device for device in user.devices if device.connection_id in oldest]:
            device.close(CloseCode.REPLACED)
            self.detach(device, CloseCode.REPLACED)

    def offer(self, change: Change) -> None:
        """A numbered event, from wherever it comes, for the devices of this node."""
        sequencer = self.sequencers.get(change.conversation_key)
        if sequencer is None:
            # Made by an event when somebody here has just been let in, or is being attached: the
            # latter begins at a mark that is taken later, so this event may set it.
            told = concerned(change)
            if told.isdisjoint(self.users) and told.isdisjoint(self.inboxes.watched):
                return
            sequencer = self._sequencer(change.conversation_key, change.change_seq - 1)
        if change.type == "conversation_updated":
            self._membership(change)
        sequencer.offer(change)
        if not sequencer.devices:
            self._drop(sequencer)

    def _membership(self, change: Change) -> None:
        """Who may have been let in or put out: what they see of each other's presence."""
        members = change.audience.members
        for user in self._lingering:
            if user.key in members:
                user.left.add(change.conversation_key)
        if len(members) <= self.settings.limit_presence_members:
            # People who meet in it for the first time know nothing of each other yet.
            change.data = {**change.data, "presence": self.news.online(members)}

    def _sequencer(self, key: str, mark: int) -> Sequencer:
        sequencer = Sequencer(
            key,
            mark,
            loop=self._loop,
            seats=self._seats,
            fill=self._repair.fill,
            counters=self.counters,
            said=self.resend.said if self.resend.on else None,
            newcomers=self.newcomers.look,
        )
        self.sequencers[key] = sequencer
        return sequencer

    def _drop(self, sequencer: Sequencer) -> None:
        if self.sequencers.get(sequencer.key) is sequencer:
            del self.sequencers[sequencer.key]
            sequencer.close()

    def _seats(self, key: str, user_keys: Iterable[str]) -> Iterator[Device]:
        users = self.users
        for user_key in user_keys:
            user = users.get(user_key)
            if user is not None:
                for device in user.devices:
                    if device.only is None or device.only == key:
                        yield device
        yield from self.inboxes.watched.get(key, ())

    def whisper_here(self, sequencer: Sequencer, event: Event, sender: Device | None) -> None:
        """For the devices of this node, but for the one it comes from."""
        for device in sequencer.devices:
            if device is not sender and device.ready is None:
                device.push_if_room(event)

    def _tell(self, key: str, user_keys: tuple[str, ...], type: str, data: dict[str, Any]) -> None:
        """An unnumbered event of one conversation for what these users have in it, on all nodes."""
        self.tell_here(key, user_keys, Event.of(type, data))
        self.relay.mark(key, user_keys, type, data)

    def tell_here(self, key: str, user_keys: Iterable[str], event: Event) -> None:
        for user_key in user_keys:
            for device in self.devices_of(user_key):
                if key in device.conversations and device.ready is None:
                    device.push(event)

    def show(self, user: UserActor, last_seen: int | None = None) -> None:
        """A user of this node came, went, or shows himself differently."""
        keys = {sequencer.key for sequencer in user.conversations()} | user.left
        most = self.settings.limit_presence_members
        small = [
            key
            for key in keys
            if not is_inbox(key)
            and (key not in self.sequencers or self.sequencers[key].size <= most)
        ]
        self.news.show(user.key, user.name, last_seen, small)
        self.relay.shown(user.key, user.name, last_seen, small[:MOST_SHOWN])

    def _changed_elsewhere(self, user_key: str) -> None:
        """A user's seat on another node came, changed or went."""
        if is_inbox(user_key):
            return  # somebody watches it there: nobody is shown differently
        user = self.users.get(user_key)
        if user is not None:
            self._replace_oldest(user)
        moved = self.news.gone if self.presence.status(user_key) == OFFLINE else self.news.back
        moved(user_key)
