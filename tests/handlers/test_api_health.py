"""Health, readiness, metrics, the page and its sign-in: what anybody may ask."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.handlers.api_routes import check_error
from tests.support.http import Http
from tests.support.process import ROOT, AnmeiProcess


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei()


@pytest.fixture
def nobody(server: AnmeiProcess, io_loop):
    client = Http(server.url)
    yield client
    client.close()


async def test_a_server_that_runs_is_alive_and_ready(nobody) -> None:
    assert (await nobody.get("/healthz")).body == {"status": "ok"}
    ready = await nobody.get("/readyz")
    checks = {"serving": "ok", "database": "ok", "keys": "ok"}
    assert (ready.status, ready.body) == (200, {"status": "ready", "checks": checks})


async def test_without_its_database_it_lives_is_not_ready_and_recovers(anmei, own_postgres) -> None:
    server = anmei({"DATABASE_URL": own_postgres.create_database()})
    server.expects_log("the store|database")
    # The driver's own, of a connection that ends while it is being made.
    server.expects_log("^WARNING:  terminating connection due to")
    alice = Http(server.url, server.token("alice"))
    path = "/api/v1/conversations"
    key = {"Idempotency-Key": "k"}
    own_postgres.stop(immediate=True)
    for answer in (await alice.get(path), await alice.post(path, {"kind": "group"}, headers=key)):
        error = check_error(answer, 503, "unavailable")
        assert error["retryable"] is True
        assert int(answer.headers["Retry-After"]) >= 1
    assert (await alice.get("/healthz")).status == 200
    down = await alice.get("/readyz")
    assert down.status == 503
    assert down.body["checks"]["database"] == "down"
    assert str(own_postgres.directory) not in str(down.body)
    own_postgres.start()
    server.child.wait_for_line("the store is back")
    assert (await alice.post(path, {"kind": "group"}, headers=key)).status == 201
    assert len((await alice.get(path)).body["conversations"]) == 1
    alice.close()


async def test_metrics_count_and_name_nobody(server, nobody, connect) -> None:
    alice = Http(server.url, server.token("alice", tenant="acme"))
    await alice.post("/api/v1/conversations", {"kind": "group", "id": "secretroom"})
    await alice.post("/api/v1/conversations/secretroom/messages", {"content": "x"})
    await alice.get("/api/v1/conversations/other")
    await connect(server, "alice", tenant="acme")
    answer = await nobody.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.body.decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["anmei_messages_total",] == 1
    assert samples["anmei_connections_open",] == 1
    assert samples["anmei_users_online",] == 1
    assert samples["anmei_errors_total", "not_found"] == 1
    assert samples["process_resident_memory_bytes",] > 0
    for secret in ("alice", "acme", "secretroom"):
        assert secret not in text
    alice.close()


async def test_the_page_and_its_files_are_served_with_a_strict_policy(nobody) -> None:
    for path in ("/", "/web/app.js", "/web/app.css", "/web/favicon.svg"):
        answer = await nobody.get(path)
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
        for rule in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        file = ROOT / ("web/index.html" if path == "/" else path[1:])
        assert answer.body == file.read_bytes()
        etag = answer.headers["Etag"]
        cached = await nobody.get(path, headers={"If-None-Match": etag})
        assert (cached.status, cached.body) == (304, b"")
        assert cached.headers["Etag"] == etag


async def test_no_path_leads_out_of_the_page(nobody) -> None:
    ways = ("../run.py", "%2e%2e/run.py", "..%2frun.py", "....//run.py", "%00", "/etc/passwd")
    for way in (*ways, "..\\run.py", "app.js%00.html", "app.js/", "%c0%ae%c0%ae/run.py"):
        check_error(await nobody.get(f"/web/{way}"), 404, "not_found")


async def test_anybody_signs_in_by_name_and_meets_the_others_in_the_lobby(
    server, nobody, connect
) -> None:
    people = []
    for name in ("Ada", "Ada", "安美", " Ünal O'Neil "):
        answer = await nobody.post("/demo/sign-in", {"name": name})
        assert answer.status == 201
        assert answer.body["name"] == name.strip()
        assert answer.body["conversation_id"] == "lobby"
        assert answer.body["expires_at"].endswith("Z")
        people.append(answer.body)
    assert len({person["user_id"] for person in people}) == 4
    assert re.fullmatch(r"ada-[0-9a-f]{8}", people[0]["user_id"])
    ada, other = [await connect(server, "", token=person["token"]) for person in people[:2]]
    sent = await ada.send_message("lobby", "hello")
    assert (await other.expect("new_message"))["id"] == sent["message_id"]
    head = ada.established["conversations"][0]
    assert (head["owner_id"], head["participant_count"]) == (people[0]["user_id"], 4)
    for wrong in ({}, {"name": ""}, {"name": "  "}, {"name": "x" * 65}, {"name": "a\nb"}):
        check_error(await nobody.post("/demo/sign-in", wrong), 400, "bad_request")
    admin = {"name": "Eve", "roles": ["admin"]}
    check_error(await nobody.post("/demo/sign-in", admin), 400, "bad_request")


async def test_another_page_signs_nobody_in(server, nobody) -> None:
    for origin in ("https://evil.example", "null"):
        answer = await nobody.post("/demo/sign-in", {"name": "x"}, headers={"Origin": origin})
        check_error(answer, 403, "forbidden")
    own = await nobody.post("/demo/sign-in", {"name": "x"}, headers={"Origin": server.url})
    assert own.status == 201


async def test_signing_in_by_name_is_bounded_and_off_in_production(anmei) -> None:
    server = anmei({"ANMEI_LIMIT_MEMBERS": "3"})
    client = Http(server.url)
    statuses = [(await client.post("/demo/sign-in", {"name": "x"})).status for _ in range(4)]
    assert statuses == [201, 201, 201, 503]
    # A hundred at once and ten a second: a slow machine takes less than twenty seconds for these.
    answers = await asyncio.gather(
        *(client.post("/demo/sign-in", {"name": "x"}) for _ in range(300))
    )
    limited = [answer for answer in answers if answer.status == 429]
    assert limited
    assert check_error(limited[0], 429, "rate_limited")["retry_after_ms"] > 0
    assert int(limited[0].headers["Retry-After"]) >= 1
    client.close()
    for env in ({"ANMEI_DEMO": "off"}, {"ANMEI_ENV": "production"}):
        client = Http(anmei(env).url)
        for method in ("GET", "POST", "OPTIONS"):
            answer = await client.request(method, "/demo/sign-in", {"name": "x"})
            check_error(answer, 404, "not_found")
        client.close()


def test_every_file_of_the_page_is_of_a_kind_that_is_served() -> None:
    from handlers.pages import read_files

    files = read_files(ROOT / "web")
    served = {Path(ROOT / "web" / name) for name in files}
    assert served == {path for path in (ROOT / "web").rglob("*") if path.is_file()}
