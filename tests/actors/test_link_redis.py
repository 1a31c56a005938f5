"""The links to Redis: one server with a password, Sentinel, and a cluster, all real."""

import time
from collections.abc import Iterator

import pytest
import redis

from actors.link_redis import ClusterLink, RedisDown, RedisLink, SentinelLink, make_link
from anmei.settings import SettingsError
from tests.actors.redis_nodes import Nodes, calm, until
from tests.support.child import Child
from tests.support.ports import free_port
from tests.support.servers import Redis, find_program, temporary_directory


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://localhost:6379/0", RedisLink),
        ("rediss://user:pass@localhost:6379/0", RedisLink),
        ("unix:///run/redis.sock?db=1", RedisLink),
        ("redis+sentinel://a:26379,b:26379/primary/2", SentinelLink),
        ("redis+cluster://a:7000,[::1]:7001", ClusterLink),
    ],
)
async def test_a_url_names_its_kind(url, kind):
    link = make_link(url)
    assert type(link) is kind
    await link.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://localhost",
        "redis+sentinel://a:1/",
        "redis+cluster://a:x",
        "redis://a:x",
    ],
)
async def test_a_url_that_names_none_is_refused_without_being_shown(url):
    with pytest.raises(SettingsError, match="^REDIS_URL"):
        make_link(url)


async def test_a_password_of_its_own_setting_is_used():
    server = Redis("--requirepass", "sesame")
    try:
        link = make_link(server.url, "sesame")
        assert await link.run([("SET", "a", "1"), ("GET", "a")]) == [True, b"1"]
        await link.close()
        for wrong in ("", "open"):
            link = make_link(server.url, wrong)
            with pytest.raises(RedisDown):
                await link.run([("GET", "a")])
            await link.close()
    finally:
        server.close()


async def test_a_refusal_of_redis_is_an_error(redis_server):
    link = make_link(redis_server.url)
    with pytest.raises(RedisDown, match="WRONGTYPE"):
        await link.run([("SET", "a", "1"), ("HGET", "a", "b")])
    assert await link.run([("GET", "a")]) == [b"1"]
    await link.close()


@pytest.fixture
def cluster() -> Iterator[str]:
    """The URL of a cluster of three primaries."""
    ports = [free_port() for _ in range(3)]
    servers: list[Redis] = []
    try:
        for port in ports:
            servers.append(
                Redis(
                    *("--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes"),
                    *("--cluster-port", str(free_port()), "--cluster-node-timeout", "2000"),
                )
            )
        clients = [redis.Redis(port=port, decode_responses=True, protocol=2) for port in ports]
        bounds = [(0, 5460), (5461, 10922), (10923, 16383)]
        for client, (first, last) in zip(clients, bounds, strict=True):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for server, port in zip(servers[1:], ports[1:], strict=True):
            bus = server.options[server.options.index("--cluster-port") + 1]
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        for client in clients:
            while not {"cluster_known_nodes:3", "cluster_state:ok"} <= set(
                client.execute_command("CLUSTER", "INFO").split()
            ):
                time.sleep(0.05)
            client.close()
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
    finally:
        for server in servers:
            server.close()


async def test_nodes_find_each_other_through_a_cluster(cluster):
    nodes = Nodes(cluster)
    try:
        ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
        assert ada.bus.problem is None
        assert ada.bus.link._sharded
        await calm(ada, bob)
        for n in range(50):
            ada.bus.publish("node_b", {"kind": "x", "n": n})
        await until(lambda: len(bob.got) == 50)
        for n in range(30):
            ada.presence.enter(f"default/u{n}", "online", {f"c{n}": n})
        await until(lambda: len(bob.presence.online("default")) == 30)
        late = await nodes.start("node_c")
        await until(lambda: len(late.presence.online("default")) == 30)
        ada.presence.leave("default/u3")
        await until(lambda: len(late.presence.online("default")) == 29)
    finally:
        await nodes.close()


@pytest.fixture
def sentinel() -> Iterator[tuple[str, list[Redis], redis.Redis]]:
    """A primary, a replica, and one Sentinel that watches them: URL, servers, and its client."""
    ports = [free_port(), free_port(), free_port()]
    directory = temporary_directory("sentinel")
    servers: list[Redis] = []
    child: Child | None = None
    try:
        servers.append(Redis("--port", str(ports[0]), "--bind", "127.0.0.1"))
        servers.append(
            Redis(
                *("--port", str(ports[1]), "--bind", "127.0.0.1"),
                *("--replicaof", f"127.0.0.1 {ports[0]}", "--repl-diskless-sync-delay", "0"),
            )
        )
        settings = directory / "sentinel.conf"
        settings.write_text(
            f"port {ports[2]}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor primary 127.0.0.1 {ports[0]} 1\n"
            "sentinel down-after-milliseconds primary 1000\n"
            "sentinel failover-timeout primary 5000\n"
        )
        child = Child([find_program("redis-server", "redis-server"), settings, "--sentinel"])
        child.wait_for_line(r"\+slave slave")
        client = redis.Redis(port=ports[2], protocol=2, decode_responses=True)
        yield f"redis+sentinel://127.0.0.1:{ports[2]}/primary/0", servers, client
        client.close()
    finally:
        if child is not None:
            child.close()
        for server in servers:
            server.close()


@pytest.mark.gen_test(timeout=110)
async def test_nodes_follow_the_primary_that_sentinel_names(sentinel, expect_log):
    expect_log("Redis cannot be reached")
    expect_log("Redis is back")
    url, servers, _ = sentinel
    nodes = Nodes(url)
    try:
        ada, bob = await nodes.start("node_a"), await nodes.start("node_b")
        await calm(ada, bob)
        ada.presence.enter("default/u", "online", {"c": 1})
        await until(lambda: bob.presence.status("default/u") == "online")
        servers[0].kill9()
        await until(lambda: ada.bus.problem is not None)
        await until(lambda: ada.bus.problem is None and bob.bus.problem is None)
        await until(lambda: ada.presence.problem is None and bob.presence.problem is None)
        ada.bus.publish("node_b", {"kind": "x", "n": 1})
        await until(lambda: bob.got)
        await until(lambda: bob.presence.status("default/u") == "online")
        assert bob.gaps
    finally:
        await nodes.close()
