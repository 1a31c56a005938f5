"""Every route: who is let in, which methods there are, and the one shape of what goes wrong."""

from collections.abc import Callable

import pytest

from handlers.routes import TABLE
from tests.handlers.api_routes import api_routes, calls, check_error, other_methods
from tests.support.http import Http
from tests.support.process import AnmeiProcess

KEY = "an API key that is longer than thirty-two bytes".replace(" ", "-")
ORIGIN = "https://chat.example"

#: `{"alg": "none"}` and `{"sub": "root", "roles": ["admin"]}`, unsigned.
FORGED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290Iiwicm9sZXMiOlsiYWRtaW4iXX0."

UNKNOWN = (
    "/api",
    "/api/v1",
    "/api/v1/",
    "/api/v1/unread/",
    "//api/v1/unread",
    "/api/v1//unread",
    "/api/v1/%2e%2e/v1/unread",
    "/API/v1/unread",
    "/api/v1/conversations/a/b/c",
    "/api/v1/websocket/users//connections",
    "/web/",
    "/.env",
    "/%00",
    "/%ff",
    "/debug",
)
FOREIGN = (
    "https://evil.example",
    "null",
    "https://chat.example.evil.example",
    "http://chat.example",
    "x",
)


@pytest.fixture
def server(anmei: Callable[..., AnmeiProcess]) -> AnmeiProcess:
    return anmei({"ANMEI_API_KEY": KEY, "ANMEI_ALLOWED_ORIGINS": ORIGIN})


def test_the_table_holds_what_the_tests_enumerate() -> None:
    assert len(api_routes()) == len(TABLE) - 3
    assert len(list(calls(("user", "admin")))) > 20


async def test_nobody_passes_without_a_token_that_holds(server, as_) -> None:
    nobody = as_(None)
    expired = as_("alice", ttl=-60)
    forged = Http(server.url, FORGED)
    good = server.token("root", roles=["admin"])
    for method, path in calls(("user", "service", "admin")):
        bare = {"body": {}} if method == "POST" else {}
        for client, headers in (
            (nobody, {}),
            (expired, {}),
            (forged, {}),
            (nobody, {"Authorization": "Bearer"}),
            (nobody, {"Authorization": "Bearer garbage"}),
            (nobody, {"Authorization": f"Basic {good}"}),
            (nobody, {"X-API-Key": "garbage"}),
            (nobody, {"X-API-Key": ""}),
            (nobody, {"Authorization": f"Bearer {good}", "X-API-Key": KEY}),
            (nobody, {"Cookie": f"token={good}"}),
        ):
            answer = await client.request(method, path, headers=headers, **bare)
            assert answer.status == 401, (method, path, headers, answer)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            if method != "HEAD":
                check_error(answer, 401, "unauthorized")
        answer = await nobody.request(method, f"{path}?token={good}", **bare)
        assert answer.status == 401, (method, path, answer)
    forged.close()
    assert good not in server.log


async def test_users_and_backends_do_not_manage(server, as_) -> None:
    user = as_("alice")
    backend = as_("backend", roles=["service"])
    for method, path in calls(("admin",)):
        bare = {"body": {}} if method == "POST" else {}
        for client, headers in ((user, {}), (backend, {}), (as_(None), {"X-API-Key": KEY})):
            headers = {**headers, "X-HTTP-Method-Override": "GET", "X-User-Role": "admin"}
            answer = await client.request(method, path, headers=headers, **bare)
            assert answer.status == 403, (method, path, answer)
            if method != "HEAD":
                check_error(answer, 403, "forbidden")


async def test_whoever_may_is_let_in(server, as_) -> None:
    admin = as_("root", roles=["admin"])
    for method, path in calls(("user", "service", "admin")):
        bare = {"body": {}} if method == "POST" else {}
        answer = await admin.request(method, path, **bare)
        assert answer.status in (200, 400, 404), (method, path, answer)
    for method, path in calls(("user",)):
        bare = {"body": {}} if method == "POST" else {}
        answer = await as_("alice").request(method, path, **bare)
        assert answer.status in (200, 400, 404), (method, path, answer)


async def test_another_method_is_answered_with_those_that_there_are(as_) -> None:
    admin = as_("root", roles=["admin"])
    for path, handler in api_routes():
        for method in (*other_methods(handler), "PROPFIND"):
            body = {} if method in ("POST", "PUT", "PATCH") else None
            answer = await admin.request(method, path, body)
            assert answer.status == 405, (method, path, answer)
            assert answer.headers["Allow"] == ", ".join((*handler.methods(), "OPTIONS"))
            if method != "HEAD":
                check_error(answer, 405, "method_not_allowed")


async def test_head_answers_as_get_without_a_body(as_) -> None:
    admin = as_("root", roles=["admin"])
    for method, path in calls((None, "user", "admin")):
        if method == "GET" and path != "/metrics":
            head = await admin.request("HEAD", path)
            get = await admin.get(path)
            assert head.status == get.status, path
            assert head.body == b"" or head.body is None
            assert head.headers.get("Content-Type") == get.headers.get("Content-Type")


async def test_an_unknown_path_is_not_found_whoever_asks(as_) -> None:
    for path in UNKNOWN:
        for client in (as_(None), as_("root", roles=["admin"])):
            for method in ("GET", "POST", "DELETE", "OPTIONS"):
                check_error(await client.request(method, path), 404, "not_found")


async def test_an_allowed_page_may_ask_from_another_origin(as_) -> None:
    for path, handler in api_routes():
        answer = await as_(None).request("OPTIONS", path, headers={"Origin": ORIGIN})
        assert answer.status == 204, (path, answer)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Methods"] == ", ".join(handler.methods())
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]
    answer = await as_("alice").get("/api/v1/unread", headers={"Origin": ORIGIN})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    answer = await as_(None).get("/api/v1/unread", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    check_error(answer, 401, "unauthorized")


async def test_no_other_page_is_told_that_it_may(as_) -> None:
    nobody, alice = as_(None), as_("alice")
    for origin in FOREIGN:
        for path, _ in api_routes():
            answer = await nobody.request("OPTIONS", path, headers={"Origin": origin})
            check_error(answer, 403, "forbidden")
            assert "Access-Control-Allow-Origin" not in answer.headers
        answer = await alice.get("/api/v1/unread", headers={"Origin": origin})
        assert answer.status == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


async def test_a_star_allows_every_page_without_naming_it(anmei) -> None:
    client = Http(anmei({"ANMEI_ALLOWED_ORIGINS": "*"}).url)
    answer = await client.get("/healthz", headers={"Origin": "https://any.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    client.close()


async def test_the_log_has_a_line_for_each_request_and_no_token(server, as_) -> None:
    token = server.token("alice")
    answer = await as_(None).get(f"/api/v1/unread?token={token}&x=%1b%5b2J")
    request_id = answer.headers["X-Request-Id"]
    line = server.child.wait_for_line(f".*{request_id}")[0]
    assert "GET" in line
    assert " 401 " in line
    assert token not in server.log
