"""Several workers behind one port: `--workers N`."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.http import Http
from tests.support.ports import free_port
from tests.support.process import ROOT, AnmeiProcess
from tests.support.servers import Redis

SERVES = r"worker (\d) \(pid (\d+)\) serves"


@pytest.fixture
def parent(
    anmei: Callable[..., AnmeiProcess], redis_server: Redis, postgres_url: str
) -> Iterator[Callable[..., AnmeiProcess]]:
    """`parent(3)` is three workers and their parent, serving; ended before Redis is."""
    nodes: list[AnmeiProcess] = []

    def start(count: int, env: dict[str, str] | None = None) -> AnmeiProcess:
        env = {"REDIS_URL": redis_server.url, "DATABASE_URL": postgres_url, **(env or {})}
        nodes.append(anmei(env, args=["--workers", str(count)]))
        return nodes[-1]

    yield start
    for node in nodes:
        if node.child.running:
            node.terminate()


def pids(parent: AnmeiProcess) -> dict[int, int]:
    """The last process that served in each slot."""
    return {int(slot): int(pid) for slot, pid in re.findall(SERVES, parent.log)}


def gone(pid: int) -> bool:
    try:
        # One that nobody has waited for yet has ended too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def node_at(port: int) -> str:
    """The id of the node that answers at a port."""
    http = Http(f"http://127.0.0.1:{port}")
    try:
        answer = await http.get("/metrics")
        return re.search(r'anmei_node_info\{node="(\w+)"\} 1', answer.body.decode())[1]
    finally:
        http.close()


@contextmanager
def knocking(port: int) -> Iterator[list[OSError]]:
    """Somebody connects again and again; what went wrong with it."""
    errors: list[OSError] = []
    enough = threading.Event()

    def knock() -> None:
        while not enough.is_set():
            try:
                socket.create_connection(("127.0.0.1", port), timeout=30).close()
            except OSError as error:
                errors.append(error)

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield errors
    finally:
        enough.set()
        thread.join()


@pytest.mark.gen_test(timeout=100)
async def test_each_worker_is_a_node_of_its_own_behind_one_port(parent):
    base = free_port(3)
    node = await asyncio.to_thread(parent, 3, {"ANMEI_WORKER_PORT": str(base)})
    assert len(set(pids(node).values())) == 3
    assert node.log.count("Anmei is at") == 1
    own = [await node_at(base + number) for number in range(3)]
    assert len(set(own)) == 3
    assert await node_at(node.port) in own
    assert node.terminate() == 0
    assert all(gone(pid) for pid in pids(node).values())


@pytest.mark.gen_test(timeout=100)
async def test_people_on_different_workers_hear_each_other(parent, make_room):
    base = free_port(2)
    node = await asyncio.to_thread(parent, 2, {"ANMEI_WORKER_PORT": str(base)})
    room = await make_room(node, "alice", "bob")
    urls = [f"ws://127.0.0.1:{base + number}/ws/chat" for number in range(2)]
    alice = await Client.connect(urls[0], node.token("alice"))
    bob = await Client.connect(urls[1], node.token("bob"))
    for sender, receiver in ((alice, bob), (bob, alice)):
        ack = await sender.send_message(room, "hello")
        await receiver.expect("new_message", id=ack["message_id"])
    await alice.close()
    await bob.close()


@pytest.mark.gen_test(timeout=100)
async def test_a_killed_worker_is_replaced_and_nobody_is_refused_meanwhile(parent, connect):
    node = await asyncio.to_thread(parent, 2)
    node.expects_log(r"worker \d \(pid \d+\) was killed by SIGKILL; another one starts in 0\.1 s")
    before = pids(node)
    with knocking(node.port) as errors:
        os.kill(before[1], signal.SIGKILL)
        await asyncio.to_thread(node.child.wait_for_line, rf"worker 1 \(pid (?!{before[1]}\b)\d+\)")
    assert errors == []
    assert pids(node)[2] == before[2]
    await connect(node, "alice")
    assert node.terminate() == 0


@pytest.mark.gen_test(timeout=100)
async def test_a_roll_replaces_every_worker_and_refuses_nobody(parent, connect, make_room):
    """P9: each successor serves before the old one ends, and clients are told to come back."""
    node = await asyncio.to_thread(parent, 3)
    before = pids(node)
    room = await make_room(node, "alice")
    clients = [await connect(node, "alice") for _ in range(5)]
    await clients[0].send_message(room, "before the roll")
    with knocking(node.port) as errors:
        os.kill(node.pid, signal.SIGHUP)
        for client in clients:
            await client.expect_close(4102, timeout=60)
        for slot in before:
            await asyncio.to_thread(
                node.child.wait_for_line, rf"worker {slot} \(pid {before[slot]}\) ended"
            )
    assert errors == []
    after = pids(node)
    assert not set(before.values()) & set(after.values())
    steps = re.findall(r"worker (\d) \(pid \d+\) (serves|ended)", node.log)[3:]
    assert steps == [(slot, step) for slot in "123" for step in ("serves", "ended")]
    back = await connect(node, "alice")
    page = await back.request("history", {"conversation_id": room})
    assert [message["content"] for message in page["messages"]] == ["before the roll"]
    assert node.terminate() == 0


@pytest.mark.gen_test(timeout=100)
async def test_workers_whose_parent_was_killed_drain_and_end(parent, connect):
    node = await asyncio.to_thread(parent, 2)
    clients = [await connect(node, "alice") for _ in range(3)]
    os.kill(node.pid, signal.SIGKILL)  # alone: its workers are let live
    for client in clients:
        await client.expect_close(4102)
    async with asyncio.timeout(60):
        while not all(gone(pid) for pid in pids(node).values()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # nobody tells when a stranger's child ends
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", node.port))


def test_workers_that_cannot_start_end_the_start_with_the_reason(tmp_path, redis_server):
    env = {
        "DATABASE_URL": "postgresql://nobody@/nothing?host=/nonexistent",
        "REDIS_URL": redis_server.url,
    }
    node = AnmeiProcess(tmp_path, env, args=["--workers", "2"])
    node.expects_log(r"worker \d \(pid \d+\) ended with status 2")
    node.spawn()
    assert node.child.wait() == 2
    assert "cannot be reached: connection to server on socket" in node.log
    node.close()


@pytest.mark.parametrize("where", ["flag", "environment"])
def test_several_workers_without_redis_are_refused_with_the_reason(tmp_path, where):
    flag = ["--workers", "2"] if where == "flag" else []
    env = {"ANMEI_WORKERS": "2"} if where == "environment" else {}
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", "serve", "--port", "0", *flag],
        env={"PATH": os.environ["PATH"], "ANMEI_DATA_DIR": str(tmp_path), **env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "ANMEI_WORKERS=2: several processes need REDIS_URL" in done.stderr
