"""What a device is told between its arrival and its first live event."""

from actors.welcome import Welcome
from anmei.commands import MoveMarks
from anmei.event import Event
from tests.actors.full_nodes import ROOM, SETTINGS, Pair, Person
from tests.actors.redis_nodes import until

NEWS = {"title": "", "message": "Maintenance at noon"}


async def test_whoever_is_told_where_it_is_misses_nothing_that_is_told_once(pair: Pair):
    """A client that is about to send `sync` has been shown who is online, and how far all is
    read: what changes from then on it hears."""
    bob = await pair.two.person("bob")
    bob.send("one")
    ada = await Person(pair.one, "ada").resuming()
    await pair.one.bus.settled()  # or nothing is sent here
    (shown,) = ada.of("connection_established")
    assert shown["presence"] == {"ada": "online", "bob": "online"}
    bob.say("typing", conversation_id="room")
    await until(lambda: ada.of("typing"))
    await pair.one.do(MoveMarks(ROOM, "default/ada", True, 1, seq=9))
    await until(lambda: ada.of("unread_update"))
    pair.one.router.to_users(["default/ada"], Event.of("system_notification", NEWS))
    await until(lambda: ada.of("system_notification"))
    pair.two.router.detach(bob.device, 1000)
    await until(lambda: ada.of("user_status_update"))
    assert ada.of("user_status_update")[-1]["status"] == "offline"
    assert not ada.of("new_message")


async def test_nothing_is_told_before_it_is_told_where_it_is(pair: Pair):
    ada = Person(pair.one, "ada")
    reached, nodes = pair.one.router.broadcast("default", "system_notification", NEWS)
    assert (reached, nodes) == (0, 2)
    await ada.welcomed()
    assert ada.wire.frames()[0]["type"] == "connection_established"
    assert pair.one.router.broadcast("default", "system_notification", NEWS)[0] == 1
    await until(lambda: ada.of("system_notification"))


async def test_a_connection_that_was_one_too_many_at_once_is_seated_nowhere(pair: Pair):
    """The clock of this machine may be behind: then the newest connection counts as the oldest."""
    most = SETTINGS.limit_connections_per_user
    later = {f"conn_later_{number}": 4 * 10**12 for number in range(most)}
    pair.two.presence.enter("default/ada", "online", later)
    await until(lambda: pair.one.presence.seats("default/ada"))
    ada = Person(pair.one, "ada")
    assert ada.device.closed
    await Welcome(ada.device, pair.one.router, SETTINGS, client_resumes=False).run()
    assert not ada.device.conversations
    assert not pair.one.router.sequencers
    pair.two.presence.leave("default/ada")
