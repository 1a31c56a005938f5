"""The way a node is run, tried on a program that does what a test tells it to."""

import signal

import jwt
import pytest

from tests.support.child import ChildFailed
from tests.support.process import AnmeiProcess
from tests.support.tokens import SECRET

PROGRAM = """
import http.server, os, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
if os.environ.get("SAY"):
    print(os.environ["SAY"])
if os.environ.get("DIE"):
    sys.exit("cannot start: the reason")
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler)
print(f"Anmei is at http://127.0.0.1:{server.server_port}")
server.serve_forever()
"""


@pytest.fixture
def node(tmp_path):
    program = tmp_path / "run.py"
    program.write_text(PROGRAM)
    made = []

    def make(**env: str) -> AnmeiProcess:
        made.append(AnmeiProcess(tmp_path, env, program=program))
        return made[-1]

    yield make
    for each in made:
        if each.child is not None:
            each.child.close()


def test_start_returns_when_the_node_has_said_where_it_is(node):
    server = node().start()
    assert server.port > 0
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.rss() > 1_000_000
    assert server.cpu() >= 0
    server.close()
    assert server.child is None


def test_a_killed_node_comes_back_on_the_same_port_with_its_log_kept(node):
    server = node(SAY="first words").start()
    port, pid = server.port, server.pid
    server.kill9()
    server.restart()
    assert (server.port, server.pid != pid) == (port, True)
    assert server.log.count("first words") == 2
    assert server.terminate() == -signal.SIGTERM
    server.close()


def test_a_start_that_fails_shows_what_the_node_said(node):
    with pytest.raises(ChildFailed, match="cannot start: the reason"):
        node(DIE="1").start()


@pytest.mark.parametrize(
    "line",
    [
        "12:00:00 WARNING anmei: careful",
        '{"level":"error","event":"x"}',
        "Traceback (most recent call last):",
        "file.py:1: ResourceWarning: unclosed file",
    ],
)
def test_a_line_of_trouble_fails_the_test_unless_it_is_expected(node, line):
    server = node(SAY=line).start()
    with pytest.raises(AssertionError, match="no expects_log covers"):
        server.close()
    server = node(SAY=line).start()
    server.expects_log("careful|error|Traceback|unclosed")
    server.close()


def test_the_environment_of_the_tests_does_not_reach_the_node(node, monkeypatch):
    monkeypatch.setenv("ANMEI_SCREENSHOTS", "somewhere")
    assert "ANMEI_SCREENSHOTS" not in node().env


def test_tokens_are_signed_with_the_secret_of_the_node(node):
    server = node()
    token = server.token("alice", roles=["admin"], tenant="acme", name="Alice")
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["tenant"], claims["roles"]) == ("alice", "acme", ["admin"])
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(server.token("alice", ttl=-60), SECRET, algorithms=["HS256"])
