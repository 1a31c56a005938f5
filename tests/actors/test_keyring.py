import asyncio
import json
import logging
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import OKPAlgorithm
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine

from actors.development_secret import development_secret
from actors.keyring import Keyring, read_keys
from anmei.errors import AnmeiError, ErrorCode
from anmei.settings import Settings, SettingsError

ExpectLog = Callable[[str], None]

SECRET = "a-secret-that-nobody-would-guess-0001"
KEYS = {name: ed25519.Ed25519PrivateKey.generate() for name in ("one", "two")}


def listening() -> socket.socket:
    """A socket on a free port between 20000 and 32000."""
    while True:
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
        except OSError:
            listener.close()
            continue
        listener.listen()
        listener.setblocking(False)
        return listener


class KeyServer:
    """Publishes keys, or does one of the things that a broken one does."""

    def __init__(self) -> None:
        self.published = ["one"]
        self.mode = "keys"
        self.paths: list[str] = []
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self._listener = listening()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/keys"
        self._server = HTTPServer(self._answer)
        self._server.add_socket(self._listener)

    async def close(self) -> None:
        self.go_on.set()
        self._server.stop()
        await self._server.close_all_connections()
        self._listener.close()

    def _answer(self, request: HTTPServerRequest) -> None:
        self.paths.append(request.path)
        self.asked.set()
        if self.mode == "hang":
            self._task = asyncio.ensure_future(self._answer_later(request))
        elif self.mode == "redirect":
            self._write(request, 302, b"", Location=f"{self.url}/elsewhere")
        elif self.mode == "huge":
            self._write(request, 200, b" " * 10_000_000 + self._document())
        elif self.mode == "garbage":
            self._write(request, 200, b"<html>\xff</html>")
        elif self.mode == "nested":
            self._write(request, 200, b"[" * 500_000)
        elif self.mode == "useless":
            self._write(request, 200, b'{"keys": []}')
        elif self.mode == "status":
            self._write(request, 500, self._document())
        else:
            self._write(request, 200, self._document())

    async def _answer_later(self, request: HTTPServerRequest) -> None:
        await self.go_on.wait()
        if not request.connection.stream.closed():
            self._write(request, 200, self._document())

    def _document(self) -> bytes:
        keys = [
            {**OKPAlgorithm.to_jwk(KEYS[name].public_key(), as_dict=True), "kid": name}
            for name in self.published
        ]
        return json.dumps({"keys": keys}).encode()

    def _write(self, request: HTTPServerRequest, status: int, body: bytes, **headers: str) -> None:
        fields = HTTPHeaders({"Content-Length": str(len(body)), **headers})
        connection: Any = request.connection
        # A client that has had enough hangs up, which is what some of the tests are about.
        sent = connection.write_headers(ResponseStartLine("", status, "x"), fields, body)
        sent.add_done_callback(lambda future: future.exception())
        connection.finish()


def fetching(url: str, **others: Any) -> Settings:
    return Settings(jwt_jwks_url=url, jwt_algorithm="EdDSA", **others)


def token(kid: str | None = "one", key: str | None = None, **header: object) -> str:
    claims = {"sub": "alice", "exp": int(time.time()) + 60}
    names = {} if kid is None else {"kid": kid}
    return jwt.encode(claims, KEYS[key or kid or "one"], "EdDSA", headers={**names, **header})


def code_of(error: pytest.ExceptionInfo[AnmeiError]) -> ErrorCode:
    return error.value.code


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another program
            await asyncio.sleep(0.005)


@pytest.mark.gen_test
async def test_secrets_are_there_from_the_start_and_sign() -> None:
    keyring = Keyring(Settings(jwt_secret=f"{SECRET}, {SECRET[::-1]}"))
    await keyring.start()
    signed = keyring.signer.sign("bob", ttl=60, now=time.time())
    assert keyring.verify(signed.text).user_id == "bob"
    assert (await keyring.verify_async(signed.text)).user_id == "bob"
    assert jwt.decode(signed.text, SECRET, ["HS256"])["sub"] == "bob"
    assert keyring.problem is None
    await keyring.refresh()
    await keyring.stop()
    await keyring.stop()


@pytest.mark.gen_test
async def test_without_any_key_the_development_secret_serves(tmp_path: Path) -> None:
    keyring = Keyring(Settings(data_dir=str(tmp_path)))
    await keyring.start()
    secret = await asyncio.to_thread(development_secret, tmp_path)
    text = jwt.encode({"sub": "bob", "exp": int(time.time()) + 60}, secret, "HS256")
    assert keyring.verify(text).user_id == "bob"
    await keyring.stop()


def test_production_has_no_development_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="JWT_SECRET"):
        read_keys(Settings(env="production", data_dir=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_public_key_is_pem_or_the_path_of_a_file(tmp_path: Path) -> None:
    pem = KEYS["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    for value in (pem.decode(), str(tmp_path / "key.pem")):
        keys = read_keys(Settings(jwt_public_key=value, jwt_algorithm="EdDSA"))
        assert keys is not None
        assert keys.algorithm == "EdDSA"
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for wrong in (tmp_path / "none", tmp_path, tmp_path / "binary"):
        with pytest.raises(SettingsError, match="JWT_PUBLIC_KEY"):
            read_keys(Settings(jwt_public_key=str(wrong), jwt_algorithm="EdDSA"))
    with pytest.raises(SettingsError, match="JWT_ALGORITHM=EdDSA"):
        read_keys(Settings(jwt_public_key=pem.decode()))


@pytest.mark.gen_test
async def test_a_jwks_url_is_an_http_address() -> None:
    for wrong in ("file:///etc/passwd", "keys.json", "https://", "ftp://x/y", "http://[x"):
        with pytest.raises(SettingsError, match="JWT_JWKS_URL"):
            await Keyring(fetching(wrong)).start()


@pytest.mark.gen_test
async def test_keys_are_fetched_at_the_start() -> None:
    server = KeyServer()
    keyring = Keyring(fetching(server.url))
    with pytest.raises(AnmeiError) as caught:
        keyring.verify(token())
    assert code_of(caught) is ErrorCode.UNAVAILABLE
    await keyring.start()
    assert keyring.verify(token()).user_id == "alice"
    assert keyring.verify(token(kid=None)).user_id == "alice"
    assert keyring.problem is None
    with pytest.raises(AnmeiError, match="another server|private key") as caught:
        keyring.signer.sign("bob", ttl=60, now=time.time())
    assert server.paths == ["/keys"]
    await keyring.stop()
    await server.close()


@pytest.mark.gen_test
async def test_a_token_with_a_new_key_waits_for_the_fetch_that_brings_it() -> None:
    server = KeyServer()
    keyring = Keyring(fetching(server.url), at_most_every=0.0)
    await keyring.start()
    server.published = ["one", "two"]
    with pytest.raises(AnmeiError) as caught:
        keyring.verify(token("two"))
    assert code_of(caught) is ErrorCode.UNAUTHORIZED
    assert (await keyring.verify_async(token("two"))).user_id == "alice"
    assert keyring.verify(token("two")).user_id == "alice"
    assert len(server.paths) == 2
    server.published = ["two"]
    await keyring.refresh()
    with pytest.raises(AnmeiError) as caught:
        await keyring.verify_async(token("one"))
    assert code_of(caught) is ErrorCode.UNAUTHORIZED
    await keyring.stop()
    await server.close()


@pytest.mark.gen_test
async def test_unknown_keys_cause_one_fetch_in_ten_seconds() -> None:
    server = KeyServer()
    keyring = Keyring(fetching(server.url))
    await keyring.start()
    for number in range(20):
        with pytest.raises(AnmeiError) as caught:
            await keyring.verify_async(token(f"k{number}", "one"))
        assert code_of(caught) is ErrorCode.UNAUTHORIZED
    assert len(server.paths) == 1
    await keyring.stop()
    await server.close()


@pytest.mark.gen_test
async def test_many_who_wait_share_one_fetch() -> None:
    server = KeyServer()
    keyring = Keyring(fetching(server.url), timeout=30.0, at_most_every=0.0)
    await keyring.start()
    server.published, server.mode = ["one", "two"], "hang"
    server.asked.clear()
    waiting = [asyncio.ensure_future(keyring.verify_async(token("two"))) for _ in range(50)]
    await server.asked.wait()
    waiting[0].cancel()
    # The old keys go on working meanwhile.
    assert keyring.verify(token("one")).user_id == "alice"
    server.go_on.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {getattr(answer, "user_id", answer) for answer in answers[1:]} == {"alice"}
    assert len(server.paths) == 2
    await keyring.stop()
    await server.close()


@pytest.mark.gen_test
async def test_keys_are_fetched_again_from_time_to_time() -> None:
    server = KeyServer()
    keyring = Keyring(fetching(server.url), refresh_every=0.02, at_most_every=0.0)
    await keyring.start()
    server.published = ["two"]
    await until(lambda: len(server.paths) >= 4)
    assert keyring.verify(token("two")).user_id == "alice"
    with pytest.raises(AnmeiError, match="kid"):
        keyring.verify(token("one"))
    await keyring.stop()
    fetched = len(server.paths)
    await asyncio.sleep(0.1)
    assert len(server.paths) <= fetched + 1  # one may have been on its way
    await server.close()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("hang", "within 0.3 s"),
        ("redirect", "HTTP status 302"),
        ("huge", "size"),
        ("garbage", "not JSON"),
        ("nested", "not JSON"),
        ("useless", "none of the 0 keys"),
        ("status", "HTTP status 500"),
    ],
)
@pytest.mark.gen_test
async def test_the_server_starts_without_keys_and_recovers(
    mode: str, words: str, caplog: pytest.LogCaptureFixture, expect_log: ExpectLog
) -> None:
    expect_log("JWT_JWKS_URL cannot be read")
    caplog.set_level(logging.INFO, "anmei")
    server = KeyServer()
    server.mode = mode
    # Short where it is waited for, long where a busy machine could make it end too soon.
    timeout = 0.3 if mode == "hang" else 30.0
    keyring = Keyring(fetching(server.url), timeout=timeout, at_most_every=0.05)
    began = time.monotonic()
    await keyring.start()
    assert time.monotonic() - began < 20
    assert keyring.problem is not None
    assert words in keyring.problem
    for verify in (keyring.verify_async(token()), keyring.verify_async("x")):
        with pytest.raises(AnmeiError) as caught:
            await verify
        assert code_of(caught) is ErrorCode.UNAVAILABLE
        assert caught.value.retry_after_ms == 50
    with pytest.raises(AnmeiError):
        _ = keyring.signer
    await until(lambda: len(server.paths) >= 3)
    assert set(server.paths) == {"/keys"}
    assert [line.levelname for line in of_ours(caplog)] == ["WARNING"]
    server.mode = "keys"
    server.go_on.set()
    await until(lambda: keyring.problem is None)
    assert keyring.verify(token()).user_id == "alice"
    assert [line.levelname for line in of_ours(caplog)] == ["WARNING", "INFO"]
    await keyring.stop()
    await server.close()


def of_ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [line for line in caplog.records if line.name.startswith("anmei")]


@pytest.mark.parametrize("mode", ["hang", "redirect", "huge", "garbage", "useless", "status"])
@pytest.mark.gen_test
async def test_the_old_keys_stay_when_a_fetch_fails(mode: str, expect_log: ExpectLog) -> None:
    expect_log("JWT_JWKS_URL cannot be read")
    server = KeyServer()
    keyring = Keyring(fetching(server.url), timeout=30.0, at_most_every=0.0)
    await keyring.start()
    server.mode = mode
    if mode == "hang":
        keyring._timeout = 0.3
    await keyring.refresh()
    assert keyring.problem is not None
    assert keyring.verify(token()).user_id == "alice"
    # A token of a key that is not known may be good: its holder is to come again.
    with pytest.raises(AnmeiError) as caught:
        await keyring.verify_async(token("two"))
    assert code_of(caught) is ErrorCode.UNAVAILABLE
    await keyring.stop()
    assert keyring.verify(token()).user_id == "alice"
    await server.close()


@pytest.mark.gen_test
async def test_a_key_server_that_is_down_is_reported(expect_log: ExpectLog) -> None:
    expect_log("JWT_JWKS_URL cannot be read")
    listener = listening()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
    listener.close()
    keyring = Keyring(fetching(url))
    await keyring.start()
    assert keyring.problem is not None
    assert "refused" in keyring.problem
    await keyring.stop()


@pytest.mark.gen_test
async def test_stopping_ends_a_fetch_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    server = KeyServer()
    keyring = Keyring(fetching(server.url), timeout=30.0, at_most_every=0.0)
    await keyring.start()
    server.mode = "hang"
    server.asked.clear()
    waiting = asyncio.ensure_future(keyring.verify_async(token("two")))
    await server.asked.wait()
    began = time.monotonic()
    await keyring.stop()
    with pytest.raises(AnmeiError):
        await waiting
    assert time.monotonic() - began < 20
    await server.close()
    await asyncio.sleep(0.05)
    assert caplog.records == []


# Attack 23


@pytest.mark.gen_test
async def test_no_address_in_a_token_is_ever_fetched() -> None:
    server, theirs = KeyServer(), KeyServer()
    theirs.published = ["two"]
    keyring = Keyring(fetching(server.url, jwt_issuer="us"), at_most_every=0.0)
    await keyring.start()
    claims = {"sub": "alice", "exp": int(time.time()) + 60, "iss": theirs.url, "aud": theirs.url}
    for kid in ("one", "two", theirs.url):
        header = {"kid": kid, "jku": theirs.url, "x5u": theirs.url}
        for key in KEYS.values():
            text = jwt.encode(claims, key, "EdDSA", headers=header)
            with pytest.raises(AnmeiError) as caught:
                await keyring.verify_async(text)
            assert code_of(caught) is ErrorCode.UNAUTHORIZED
    assert theirs.paths == []
    assert set(server.paths) == {"/keys"}
    await keyring.stop()
    await server.close()
    await theirs.close()
