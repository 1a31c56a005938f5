import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from anmei.errors import AnmeiError, ErrorCode
from handlers.bearer import find_service, find_token, offered_subprotocols, origin_allowed, redact

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
OTHER = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJl"
API_KEY = "an-api-key-of-thirty-two-bytes-or-more"
SECOND_KEY = "another-api-key-of-the-same-long-sort"


def request(uri: str = "/ws/chat", *headers: tuple[str, str]) -> HTTPServerRequest:
    fields = HTTPHeaders({"Host": "localhost"})
    for name, value in headers:
        fields.add(name, value)
    return HTTPServerRequest(start_line=RequestStartLine("GET", uri, "HTTP/1.1"), headers=fields)


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


def subprotocol(token: str) -> tuple[str, str]:
    return "Sec-WebSocket-Protocol", f"anmei.v1, bearer.{token}"


def assert_refused(asked: HTTPServerRequest, *words: str) -> None:
    with pytest.raises(AnmeiError) as caught:
        find_token(asked)
    assert caught.value.code is ErrorCode.UNAUTHORIZED
    for word in words:
        assert word in caught.value.message
    assert TOKEN not in caught.value.message


@pytest.mark.parametrize(
    "asked",
    [
        request("/", bearer(TOKEN)),
        request("/", ("authorization", f"bearer   {TOKEN}")),
        request("/", subprotocol(TOKEN)),
        request("/", ("Sec-WebSocket-Protocol", f"bearer.{TOKEN},anmei.v1")),
        request("/", ("Sec-WebSocket-Protocol", "anmei.v1"), subprotocol(TOKEN)),
        request(f"/ws/chat?device_id=d&token={TOKEN}"),
        request(f"/?%74oken={quote(TOKEN)}"),
    ],
)
def test_a_token_is_found_in_each_of_its_places(asked: HTTPServerRequest) -> None:
    assert find_token(asked) == TOKEN


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request("/?device_id=token"),
        request("/", ("Authorization", "Basic YTpi")),
        request("/", ("Authorization", "")),
        request("/", ("Sec-WebSocket-Protocol", "anmei.v1")),
        request("/", ("X-API-Key", API_KEY)),
        request("/", ("Cookie", f"token={TOKEN}")),
    ],
)
def test_a_request_without_a_token_has_none(asked: HTTPServerRequest) -> None:
    assert find_token(asked) is None


def test_the_same_token_may_stand_in_several_places() -> None:
    asked = request(f"/?token={TOKEN}", bearer(TOKEN), subprotocol(TOKEN))
    assert find_token(asked) == TOKEN


def test_a_password_for_a_proxy_in_front_is_not_ours() -> None:
    assert find_token(request(f"/?token={TOKEN}", ("Authorization", "Basic YTpi"))) == TOKEN


def test_tokens_that_disagree_are_refused_naming_both_places() -> None:
    assert_refused(
        request("/", bearer(TOKEN), subprotocol(OTHER)), "Authorization", "Sec-WebSocket-Protocol"
    )
    assert_refused(request(f"/?token={OTHER}", bearer(TOKEN)), "Authorization", "?token=")
    assert_refused(
        request(f"/?token={OTHER}", subprotocol(TOKEN)), "Sec-WebSocket-Protocol", "?token="
    )
    assert_refused(request(f"/?token={OTHER}&token={TOKEN}"), "?token=")
    assert_refused(request("/", bearer(TOKEN), bearer(OTHER)), "Authorization")
    assert_refused(
        request("/", ("Sec-WebSocket-Protocol", f"bearer.{TOKEN}, bearer.{OTHER}")),
        "Sec-WebSocket-Protocol",
    )


def test_a_token_beside_an_api_key_is_refused_naming_both() -> None:
    assert_refused(
        request("/", bearer(TOKEN), ("X-API-Key", API_KEY)), "Authorization", "X-API-Key"
    )


def test_an_empty_token_is_named() -> None:
    assert_refused(request("/?token="), "?token=", "empty")
    assert_refused(request("/", ("Authorization", "Bearer")), "Authorization", "empty")
    assert_refused(request("/", ("Sec-WebSocket-Protocol", "bearer.")), "empty")


def test_a_token_without_its_scheme_is_explained() -> None:
    assert_refused(request("/", ("Authorization", TOKEN)), "Bearer <token>")


def test_subprotocols_are_offered_in_order() -> None:
    asked = request("/", ("Sec-WebSocket-Protocol", "anmei.v1 ,, x"), subprotocol("t"))
    assert offered_subprotocols(asked) == ["anmei.v1", "x", "anmei.v1", "bearer.t"]


# Attack 4


#: Seconds of this process alone, beside which a busy machine does not count. Ours take some
#: milliseconds; time that grows with the square of the length would be many times as much.
LITTLE = 0.5


@pytest.mark.parametrize("junk", [" " * 60_000, "," * 60_000, ", " * 30_000, "bearer" * 10_000])
def test_a_long_subprotocol_header_costs_little(junk: str) -> None:
    asked = request("/", ("Sec-WebSocket-Protocol", f"a{junk}b"))
    began = time.process_time()
    assert find_token(asked) is None
    assert time.process_time() - began < LITTLE


# API keys


def test_a_backend_with_an_api_key_is_a_service() -> None:
    for key in (API_KEY, SECOND_KEY):
        who = find_service(request("/", ("X-API-Key", key)), (API_KEY, SECOND_KEY))
        assert who is not None
        assert (who.key, who.roles) == ("default/service", frozenset({"service"}))
        assert who.acts_for_others
        assert not who.is_admin
        assert who.expires_at > time.time() + 86_400 * 365


def test_a_request_without_an_api_key_is_nobody_of_that_kind() -> None:
    assert find_service(request("/", bearer(TOKEN)), (API_KEY,)) is None
    assert find_service(request(), ()) is None


@pytest.mark.parametrize(
    "key", ["", "x", API_KEY[:-1], API_KEY + "x", API_KEY.upper(), f"{API_KEY},{SECOND_KEY}", "é"]
)
def test_another_api_key_is_refused(key: str) -> None:
    with pytest.raises(AnmeiError, match="X-API-Key") as caught:
        find_service(request("/", ("X-API-Key", key)), (API_KEY, SECOND_KEY))
    assert caught.value.code is ErrorCode.UNAUTHORIZED
    assert API_KEY not in caught.value.message


def test_without_api_keys_none_is_accepted() -> None:
    for key in ("", "None", API_KEY):
        with pytest.raises(AnmeiError, match="ANMEI_API_KEY"):
            find_service(request("/", ("X-API-Key", key)), ())


def test_two_api_keys_that_disagree_are_refused() -> None:
    with pytest.raises(AnmeiError, match="twice"):
        find_service(
            request("/", ("X-API-Key", API_KEY), ("X-API-Key", SECOND_KEY)), (API_KEY, SECOND_KEY)
        )


# Attack 29


@pytest.mark.parametrize(
    ("uri", "logged"),
    [
        ("/ws/chat", "/ws/chat"),
        ("/ws/chat?device_id=d1", "/ws/chat?device_id=d1"),
        (f"/ws?token={TOKEN}", "/ws?token=(redacted)"),
        (f"/ws?a=1&token={TOKEN}&b=2", "/ws?a=1&token=(redacted)&b=2"),
        ("/ws?token=short&TOKEN=x", "/ws?token=(redacted)&TOKEN=(redacted)"),
        ("/ws?%74ok%65n=abc", "/ws?%74ok%65n=(redacted)"),
        ("/ws?access_token=abc", "/ws?access_token=(redacted)"),
        ("/ws?a=1;token=abc", "/ws?a=1;token=(redacted)"),
        ("http://x/#token=abc", "http://x/#token=(redacted)"),
        (f"/ws?next={TOKEN}", "/ws?next=(token)"),
        (f"/files/{TOKEN}/x", "/files/(token)/x"),
        (f"/ws?p=bearer.{TOKEN}", "/ws?p=bearer.(token)"),
        ("/ws?token", "/ws?token"),
        ("/search?q=divorce+lawyer&limit=5", "/search?q=(redacted)&limit=5"),
        ("/ws?tokens=3", "/ws?tokens=3"),
    ],
)
def test_tokens_are_taken_out_of_what_is_logged(uri: str, logged: str) -> None:
    assert redact(uri) == logged


@given(st.text(min_size=1), st.lists(st.tuples(st.text(), st.text())))
def test_what_the_server_reads_as_a_token_is_never_logged(
    value: str, others: list[tuple[str, str]]
) -> None:
    marked = "SECRETSECRET" + value
    pairs = [*others, ("token", marked), *others]
    uri = "/ws?" + "&".join(
        f"{quote(name, safe='', errors='replace')}={quote(text, safe='', errors='replace')}"
        for name, text in pairs
    )
    assert "SECRETSECRET" not in redact(uri)


@pytest.mark.parametrize(
    "piece", ["eyJ", "eyJa.", "eyJa-", "?token=", "&", "?", "=", ";", "eyJa.b.", "-eyJ", "%"]
)
def test_redacting_takes_linear_time(piece: str) -> None:
    uri = piece * (64_000 // len(piece))
    began = time.process_time()
    redact(uri)
    assert time.process_time() - began < LITTLE


# Attack 1

GOOD = ("https://good.test", "http://localhost:3000", "capacitor://localhost")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test",
        "null",
        "",
        "https://good.test.evil.test",
        "https://evilgood.test",
        "https://good.test@evil.test",
        "https://good.test:8443",
        "http://good.test",
        "https://good.test.",
        "https://good.test/",
        "https://good.test/x",
        "https://good.test\\.evil.test",
        "https://good.test, https://evil.test",
        "https://good.test,https://good.test",
        "https://good.test https://evil.test",
        "https://good.test\n",
        "https://good.test#x",
        "https://good.test?x",
        "good.test",
        "//good.test",
        "http://localhost",
        "http://localhost:30000",
        "http://localhost:99999999999",
        "file://",
        "*",
    ],
)
def test_pages_of_other_origins_are_refused(origin: str) -> None:
    assert not origin_allowed(origin, "good.test", GOOD)


@pytest.mark.parametrize(
    "origin",
    [
        "https://good.test",
        "https://good.test:443",
        "HTTPS://Good.Test",
        "http://localhost:3000",
        "capacitor://localhost",
        None,
    ],
)
def test_pages_of_the_origins_that_are_set_are_allowed(origin: str | None) -> None:
    assert origin_allowed(origin, "elsewhere.test", GOOD)


def test_a_letter_that_only_folds_to_the_right_one_is_another() -> None:
    assert not origin_allowed("https://\u212aay.test", "x", ("https://kay.test",))


def test_a_slash_at_the_end_of_a_setting_is_forgiven() -> None:
    assert origin_allowed("https://good.test", "x", ("https://good.test/",))


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "", "what?"])
def test_a_star_allows_every_page(origin: str) -> None:
    assert origin_allowed(origin, "good.test", ("https://other.test", "*"))


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://good.test", "good.test", True),
        ("http://good.test", "good.test", True),
        ("https://good.test", "Good.test:443", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        (None, "good.test", True),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False),
        ("http://localhost:8000", "127.0.0.1:8000", False),
        ("https://good.test", "good.test:80", False),
        ("https://evilgood.test", "good.test", False),
        ("https://good.test.evil.test", "good.test", False),
        ("null", "null", False),
        ("", "", False),
        ("https://", "", False),
        ("ftp://good.test", "good.test", False),
        ("https://good.test", "good.test/x", False),
        ("https://evil.test", "good.test@evil.test", False),
    ],
)
def test_with_no_origins_set_a_page_of_the_same_host_may_connect(
    origin: str | None, host: str, allowed: bool
) -> None:
    assert origin_allowed(origin, host, ()) is allowed
