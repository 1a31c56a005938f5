import os
import shutil
import signal
import sys
from pathlib import Path

import psycopg2
import pytest
import redis

from tests.support.child import Child, ChildFailed
from tests.support.ports import free_port
from tests.support.process import ROOT
from tests.support.servers import Redis, find_program


def test_each_database_is_new_and_empty(postgres):
    first, second = postgres.create_database(), postgres.create_database()
    with psycopg2.connect(first) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE here (id int)")
    connection.close()
    with psycopg2.connect(second) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'here'")
        assert cursor.fetchone() == (0,)
    connection.close()
    postgres.drop_database(first)
    postgres.drop_database(second)


def test_what_was_committed_survives_a_kill_of_postgres(own_postgres):
    assert own_postgres.execute("SHOW fsync") == [("on",)]
    url = own_postgres.create_database()
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (id int)")
        cursor.execute("INSERT INTO kept VALUES (7)")
    own_postgres.kill9()
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")
    connection.close()
    own_postgres.start()
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM kept")
        assert cursor.fetchall() == [(7,)]
    connection.close()


def test_an_immediate_stop_and_a_start_bring_postgres_back(own_postgres):
    own_postgres.stop(immediate=True)
    assert not own_postgres.server.running
    own_postgres.start()
    assert own_postgres.execute("SELECT 1") == [(1,)]


def test_the_sessions_of_one_database_can_be_ended(postgres, postgres_url):
    connection = psycopg2.connect(postgres_url)
    assert postgres.terminate_sessions(postgres_url) == 1
    with pytest.raises(psycopg2.OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close()


def test_redis_comes_back_empty_after_a_kill(redis_server):
    client = redis.Redis.from_url(redis_server.url)
    client.set("a", "1")
    assert client.get("a") == b"1"
    redis_server.restart()
    assert client.get("a") is None
    client.close()


def test_nothing_of_a_server_is_left_when_it_is_closed():
    server = Redis()
    server.close()
    assert not server.server.running
    assert not server.directory.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_server_behind(tmp_path, number):
    (tmp_path / "conftest.py").write_text("from tests.conftest import *")
    (tmp_path / "test_planted.py").write_text(
        "import threading\n"
        "def test_is_interrupted(own_postgres, redis_server):\n"
        "    for each in (own_postgres, redis_server):\n"
        "        print('\\nstarted', each.server.pid, each.directory, flush=True)\n"
        "    print('ready', flush=True)\n"
        "    threading.Event().wait()\n"
    )
    run = Child(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    run.wait_for_line("^ready", 100)
    run.signal(number)
    assert run.wait(100) == pytest.ExitCode.INTERRUPTED
    run.close()
    servers = [line.split()[1:] for line in run.lines if line.startswith("started")]
    assert len(servers) == 2
    for pid, directory in servers:
        assert not Path("/proc", pid).exists()
        assert not Path(directory).exists()


def test_a_missing_program_fails_the_test_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(pytest.fail.Exception, match="sudo apt-get install -y .* redis-server"):
        find_program("redis-server", "redis-server")


def test_a_server_that_does_not_start_shows_its_own_words():
    with pytest.raises(ChildFailed, match="Bad directive|wrong number of arguments|FATAL CONFIG"):
        Redis("--no-such-option", "1")


def test_free_ports_lie_below_those_that_the_kernel_hands_out():
    ports = [free_port() for _ in range(20)] + [free_port(3), free_port()]
    assert all(20_000 <= port < 32_000 for port in ports)
    assert len(set(ports)) == 22
    assert ports[-1] not in range(ports[-2], ports[-2] + 3)
