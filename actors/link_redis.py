"""The connections to Redis: one server, Sentinel, or Cluster, behind one small face.

Commands go through a small pool with short timeouts, so that a server that hangs costs a second
and never the loop. What is subscribed to has a connection of its own that does not mend itself:
whoever reads it must know when it broke, since what was published meanwhile is lost.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, Connection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from anmei.settings import SettingsError

TIMEOUT = 1.0  # seconds that one read or write on a connection may take
LONGEST = 3.0  # seconds that a whole call may take, waiting for a connection and one retry included
POOL = 8  # connections for commands
SHARDED_SINCE = 7  # the first version of Redis that has sharded pub/sub

Command = tuple[Any, ...]


class RedisDown(Exception):
    """Redis cannot be reached, or refuses; the text says why in a few words."""


class Subscription:
    """One connection that listens to channels and patterns."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[AbstractConnection]],
        channels: Sequence[str],
        patterns: Sequence[str],
        *,
        sharded: Callable[[], bool] = lambda: False,
    ) -> None:
        """`sharded`, asked once connected: the channels, not the patterns, are those of a
        cluster's shard."""
        self._connect = connect
        self._channels = channels
        self._patterns = patterns
        self._sharded = sharded
        self._connection: AbstractConnection | None = None

    async def open(self) -> None:
        """Connects and subscribes; what is published from its end on is heard. Raises
        RedisDown."""
        try:
            async with asyncio.timeout(LONGEST):
                connection = self._connection = await self._connect()
                await connection.connect()  # type: ignore[no-untyped-call]
                verb = "SSUBSCRIBE" if self._sharded() else "SUBSCRIBE"
                await connection.send_command(verb, *self._channels)
                await connection.send_command("PSUBSCRIBE", *self._patterns)
                for _ in range(len(self._channels) + len(self._patterns)):
                    await connection.read_response(disable_decoding=True, timeout=TIMEOUT)
        except (RedisError, OSError, TimeoutError) as error:
            raise RedisDown(reason(error)) from None

    async def next(self) -> tuple[str, bytes]:
        """The channel and the bytes of the next message, however long that takes. Raises
        RedisDown when the connection is gone."""
        assert self._connection is not None
        while True:
            try:
                # Without end: whether silence means a broken link is judged by the heartbeat.
                answer = await self._connection.read_response(
                    disable_decoding=True, timeout=math.inf
                )
            except (RedisError, OSError, TimeoutError) as error:
                raise RedisDown(reason(error)) from None
            if not isinstance(answer, list) or len(answer) < 3:
                continue
            if answer[0] in (b"message", b"smessage", b"pmessage"):
                # A channel of ours is ASCII; any other is shown, and refused by name.
                return answer[-2].decode("utf-8", "backslashreplace"), answer[-1]
            if answer[0] == b"sunsubscribe":
                raise RedisDown("the channels have moved to another shard")

    async def close(self) -> None:
        """Ends the connection; whoever waits in `next` is told so."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _disconnect(connection)


class RedisLink:
    """One Redis server, over TCP, TLS or a unix socket."""

    #: Whether keys and channels of one purpose need a common hash tag, `{prefix}`.
    tagged = False

    def __init__(self, url: str, password: str = "") -> None:
        options = _options(password)
        self._client: Any = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url, max_connections=POOL, timeout=TIMEOUT, retry=_retry(), **options
            )
        )
        self._listening: ConnectionPool = ConnectionPool.from_url(
            url, retry=Retry(NoBackoff(), 0), **options
        )

    async def run(self, commands: Sequence[Command], *, atomic: bool = False) -> list[Any]:
        """Sends all in one go and returns the answers: bytes, numbers, lists, sets and dicts.

        With `atomic` nobody sees some of it done and some not. Raises RedisDown, also where Redis
        refuses one of them; it never takes longer than `LONGEST`.
        """
        return await _run(self._client, commands, atomic=atomic)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """Publishes in order; how many connections heard each. Raises RedisDown."""
        return await self.run([("PUBLISH", channel, data) for channel, data in messages])

    def subscription(self, channels: Sequence[str], patterns: Sequence[str]) -> Subscription:
        """Not open yet."""

        async def connect() -> AbstractConnection:
            connection = self._listening.make_connection()  # type: ignore[no-untyped-call]
            return cast(AbstractConnection, connection)

        return Subscription(connect, channels, patterns)

    async def close(self) -> None:
        await self._client.aclose(close_connection_pool=True)


class SentinelLink(RedisLink):
    """The primary that Sentinel names: `redis+sentinel://host:port,host:port/service/db`."""

    def __init__(self, url: str, password: str = "") -> None:
        hosts, password, path = _hosts(url, password)
        service, _, database = path.partition("/")
        if not service:
            raise SettingsError(
                "REDIS_URL: expected redis+sentinel://host:port,host:port/service/db; the name of "
                "the service is missing"
            )
        options = _options(password) | {"db": int(database or 0)}
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            hosts, sentinel_kwargs=_options("")
        )
        # Its own class of pool follows the primary; ours are few enough for its bound.
        self._client = Redis(
            connection_pool=SentinelConnectionPool(  # type: ignore[no-untyped-call]
                service, self._sentinel, retry=_retry(), max_connections=10 * POOL, **options
            )
        )
        self._listening = SentinelConnectionPool(  # type: ignore[no-untyped-call]
            service, self._sentinel, retry=Retry(NoBackoff(), 0), **options
        )

    async def close(self) -> None:
        await super().close()
        for sentinel in self._sentinel.sentinels:
            await sentinel.aclose()


class ClusterLink(RedisLink):
    """A cluster: `redis+cluster://host:port,host:port`. Channels are sharded where it can.

    The cluster client says which shard has a key; what is sent to a shard goes through a pool of
    our own, since the client's transactions hold up the loop and its pipelines do not publish.
    """

    tagged = True

    def __init__(self, url: str, password: str = "") -> None:
        hosts, password, _ = _hosts(url, password)
        self._options = _options(password)
        self._cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in hosts],
            retry=_retry(),
            **self._options,
        )
        self._shards: dict[tuple[str, int], Any] = {}
        #: Whether it knows sharded channels; None until the shards are known.
        self._sharded: bool | None = None
        self._learning = asyncio.Lock()

    async def run(self, commands: Sequence[Command], *, atomic: bool = False) -> list[Any]:
        await self._ready()
        groups: dict[tuple[str, int], list[int]] = {}
        for place, command in enumerate(commands):
            key = command[3] if command[0] == "EVAL" else command[1]
            groups.setdefault(self._shard_of(key), []).append(place)
        try:
            found = await asyncio.gather(
                *(
                    _run(self._shard(shard), [commands[place] for place in places], atomic=atomic)
                    for shard, places in groups.items()
                )
            )
        except RedisDown:
            self._sharded = None  # the keys may have moved to another shard
            raise
        answers: list[Any] = [None] * len(commands)
        for places, part in zip(groups.values(), found, strict=True):
            for place, answer in zip(places, part, strict=True):
                answers[place] = answer
        return answers

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        sharded = await self._ready()
        # Channels for readers outside have no hash tag, and stay plain.
        return await self.run(
            [
                ("SPUBLISH" if sharded and channel.startswith("{") else "PUBLISH", channel, data)
                for channel, data in messages
            ]
        )

    def subscription(self, channels: Sequence[str], patterns: Sequence[str]) -> Subscription:
        async def connect() -> AbstractConnection:
            await self._ready()
            # One hash tag, so one shard has them all.
            host, port = self._shard_of(channels[0])
            return Connection(host=host, port=port, retry=Retry(NoBackoff(), 0), **self._options)

        return Subscription(connect, channels, patterns, sharded=lambda: bool(self._sharded))

    async def close(self) -> None:
        await self._cluster.aclose()
        for client in self._shards.values():
            await client.aclose(close_connection_pool=True)

    def _shard_of(self, key: str) -> tuple[str, int]:
        node = self._cluster.get_node_from_key(key)
        if node is None:
            raise RedisDown("no shard of the cluster serves the keys")
        return str(node.host), int(node.port)

    def _shard(self, address: tuple[str, int]) -> Any:
        if address not in self._shards:
            host, port = address
            self._shards[address] = Redis(
                connection_pool=BlockingConnectionPool(
                    host=host,
                    port=port,
                    max_connections=POOL,
                    timeout=TIMEOUT,
                    retry=_retry(),
                    **self._options,
                )
            )
        return self._shards[address]

    async def _ready(self) -> bool:
        """Learns the shards and whether they know sharded channels."""
        async with self._learning:
            if self._sharded is None:
                try:
                    async with asyncio.timeout(LONGEST):
                        self._sharded = await self._learn()
                except (RedisError, OSError, TimeoutError) as error:
                    raise RedisDown(reason(error)) from None
            return self._sharded

    async def _learn(self) -> bool:
        await self._cluster.aclose()
        await self._cluster.initialize()
        node = self._cluster.get_random_node()
        info = await self._cluster.execute_command("INFO", "server", target_nodes=node)
        if not isinstance(info.get("redis_version"), str):
            info = next(iter(info.values()))  # by node, where the client says so
        return int(info["redis_version"].partition(".")[0]) >= SHARDED_SINCE


def make_link(url: str, password: str = "") -> RedisLink:
    """The link that `REDIS_URL` names; nothing is connected yet. Raises SettingsError."""
    scheme = url.partition("://")[0]
    kinds: dict[str, type[RedisLink]] = {
        "redis": RedisLink,
        "rediss": RedisLink,
        "unix": RedisLink,
        "redis+sentinel": SentinelLink,
        "redis+cluster": ClusterLink,
    }
    if scheme not in kinds:
        raise SettingsError(f"REDIS_URL: expected one of {', '.join(f'{k}://…' for k in kinds)}")
    try:
        return kinds[scheme](url, password)
    except (ValueError, RedisError) as error:
        raise SettingsError(f"REDIS_URL: {error}") from None


def reason(error: BaseException) -> str:
    """What went wrong, in a few words and without an address that may hold a password."""
    if isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError":
        return "no answer in time"
    if isinstance(error, RedisConnectionError | OSError):
        return f"no connection ({type(error).__name__})"
    return str(error)[:200] or type(error).__name__


def pause(attempt: int) -> float:
    """Seconds before try number `attempt`, the first being 0; never the same for two nodes."""
    return float(min(2.0, 0.05 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.0))


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels tasks that use a link, and waits for them; more than once, since the client may
    swallow a cancel that falls into the end of a command."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)


async def _run(client: Any, commands: Sequence[Command], *, atomic: bool) -> list[Any]:
    try:
        async with asyncio.timeout(LONGEST):
            pipeline = client.pipeline(transaction=atomic)
            for command in commands:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=True)
    except (RedisError, OSError, TimeoutError) as error:
        raise RedisDown(reason(error)) from None
    return cast(list[Any], answers)


def _retry() -> Retry:
    # Only a connection that turns out to be broken is worth a second try: a server that does not
    # answer now would only cost the time twice.
    return Retry(ExponentialBackoff(cap=0.2, base=0.02), 1, (RedisConnectionError,))


def _options(password: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        # The newer protocol mixes what was published with answers.
        "protocol": 2,
        # To say who it is, each new connection would look for the version of the package on disk.
        "driver_info": None,
    }
    return options | ({"password": password} if password else {})


def _hosts(url: str, password: str) -> tuple[list[tuple[str, int]], str, str]:
    """The hosts, the password and the path of a URL that names several hosts."""
    _, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    login, _, hosts = authority.rpartition("@")
    found = []
    for host in hosts.split(","):
        parsed = urlsplit(f"redis://{host}")
        if not parsed.hostname:
            raise ValueError(f"expected host:port,host:port, got {ascii(hosts[:64])}")
        found.append((parsed.hostname, parsed.port or 6379))
    return found, password or unquote(login.rpartition(":")[2]), path.strip("/")


async def _disconnect(connection: AbstractConnection) -> None:
    # It is gone either way.
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await connection.disconnect(nowait=True)
