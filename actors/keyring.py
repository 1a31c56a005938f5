"""The keys that are in force now, and where newer ones come from.

Secrets and PEM keys are there from the start. A key set (JWKS) is fetched from the one address of
the settings, again every ten minutes, and sooner when a token names a key that we have not seen.
An address that stands in a token is never fetched.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import (
    HTTPStreamClosedError,
    HTTPTimeoutError,
    SimpleAsyncHTTPClient,
)

from actors.development_secret import development_secret
from anmei.errors import AnmeiError, ErrorCode
from anmei.keys import HS256, BadKeys, Keys, UnknownKey
from anmei.principal import Principal
from anmei.settings import Settings, SettingsError, split
from anmei.tokens import TokenRules, TokenSigner, TokenVerifier

MAX_DOCUMENT_BYTES = 1_048_576
MAX_PEM_BYTES = 65_536
REVOKED = "the token was revoked"

_log = logging.getLogger("anmei.keyring")


def read_keys(settings: Settings) -> Keys | None:
    """The keys that the settings hold or point to on this machine; None where they come from a
    JWKS URL. Without any, it is the development secret. Raises SettingsError."""
    if settings.jwt_jwks_url:
        return None
    if settings.jwt_public_key:
        return Keys.from_pem(_read_pem(settings.jwt_public_key), _algorithm(settings))
    if settings.jwt_secret:
        return Keys.from_secrets(split(settings.jwt_secret))
    if settings.env == "production":
        raise SettingsError("ANMEI_ENV=production needs JWT_SECRET, JWT_PUBLIC_KEY or JWT_JWKS_URL")
    return Keys.from_secrets([development_secret(Path(settings.data_dir))])


class Keyring:
    """Verifies tokens with the current keys, and keeps these current. `revoked` says whether one
    whose signature fits was taken back.

    `start` never waits for longer than one fetch and never fails because of one: until the first
    has worked, tokens are answered with UNAVAILABLE, which is retryable. Once there are keys, they
    stay until a fetch brings others.
    """

    def __init__(
        self,
        settings: Settings,
        revoked: Callable[[Principal], bool] = lambda principal: False,
        *,
        clock: Callable[[], float] = time.time,
        refresh_every: float = 600.0,
        at_most_every: float = 10.0,
        timeout: float = 5.0,
    ) -> None:
        self._settings = settings
        self._revoked = revoked
        self._clock = clock
        self._refresh_every = refresh_every
        self._at_most_every = at_most_every
        self._timeout = timeout
        self._rules = TokenRules.from_settings(settings)
        self._verifier: TokenVerifier | None = None
        self._signer: TokenSigner | None = None
        self._problem: str | None = None
        self._client: SimpleAsyncHTTPClient | None = None
        self._loop: asyncio.Task[None] | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._fetched_at = float("-inf")

    async def start(self) -> None:
        """Reads or fetches the keys. Raises SettingsError for settings that can never work."""
        keys = await asyncio.to_thread(read_keys, self._settings)
        if keys is not None:
            self._use(keys)
            return
        _check_url(self._settings.jwt_jwks_url)
        self._client = SimpleAsyncHTTPClient(
            force_instance=True, max_clients=1, max_body_size=MAX_DOCUMENT_BYTES
        )
        await self.refresh()
        self._loop = asyncio.create_task(self._keep_fresh(), name="keyring")

    async def stop(self) -> None:
        """Ends what is under way; idempotent. The keys that are there stay usable."""
        tasks = [task for task in (self._loop, self._fetch) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop = self._fetch = None
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def problem(self) -> str | None:
        """Why the keys may be out of date, in one sentence for a health page; None if all is
        well."""
        return self._problem

    @property
    def signer(self) -> TokenSigner:
        """Signs new tokens; its `sign` raises AnmeiError where another server does that."""
        if self._signer is None:
            raise self._unavailable()
        return self._signer

    def verify(self, token: str) -> Principal:
        """Who holds `token`, by the keys of this moment. Raises AnmeiError: UNAUTHORIZED, or
        UNAVAILABLE while there are no keys."""
        if self._verifier is None:
            raise self._unavailable()
        principal = self._verifier.verify(token, self._clock())
        if self._revoked(principal):
            raise AnmeiError(ErrorCode.UNAUTHORIZED, REVOKED)
        return principal

    async def verify_async(self, token: str) -> Principal:
        """As `verify`, but for a key that is not known waits until the key set was fetched again.

        That is done once in ten seconds at most, whatever tokens come. UNAVAILABLE is raised when
        the fetch fails: the token may be good.
        """
        try:
            return self.verify(token)
        except UnknownKey:
            await self.refresh()
        try:
            return self.verify(token)
        except UnknownKey:
            if self._problem is not None:
                raise self._unavailable() from None
            raise

    async def refresh(self) -> None:
        """Fetches the key set, or waits for the fetch that is under way; does nothing when the
        last one began a moment ago, or where keys are not fetched. Never fails."""
        if self._client is None:
            return
        if self._fetch is None or self._fetch.done():
            now = asyncio.get_running_loop().time()
            if now < self._fetched_at + self._at_most_every:
                return
            self._fetched_at = now
            self._fetch = asyncio.create_task(self._fetch_once(self._client), name="keyring fetch")
        # Many may wait for it: one who gives up does not end it for the others. wait() rather
        # than shield(), so that stop() reads to them as an answer and not as their own cancelling.
        await asyncio.wait([self._fetch])

    async def _keep_fresh(self) -> None:
        while True:
            wait = self._refresh_every if self._problem is None else self._at_most_every
            await asyncio.sleep(wait)
            await self.refresh()

    async def _fetch_once(self, client: SimpleAsyncHTTPClient) -> None:
        try:
            # The client has the same timeout; this one is for whatever it does not count.
            async with asyncio.timeout(self._timeout + 1):
                document = await self._download(client)
            self._use(Keys.from_jwks(document, _algorithm(self._settings)))
        except (BadKeys, OSError, ValueError, RecursionError, HTTPClientError) as error:
            self._report(_reason(error, self._timeout))
        except Exception as error:  # whatever else a strange answer sets off must not end the loop
            self._report(f"{type(error).__name__}: {error}")
        else:
            if self._problem is not None:
                _log.info("the key set of JWT_JWKS_URL is there again")
            self._problem = None

    async def _download(self, client: SimpleAsyncHTTPClient) -> object:
        request = HTTPRequest(
            self._settings.jwt_jwks_url,
            headers={"Accept": "application/jwk-set+json, application/json"},
            follow_redirects=False,
            # A small compressed body may stand for a very large one.
            decompress_response=False,
            connect_timeout=self._timeout,
            request_timeout=self._timeout,
        )
        answer = asyncio.ensure_future(client.fetch(request))
        # Cancelled by stop(), the client's own future would be logged as an error later, as would
        # one that nobody asks how it ended.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        response = await asyncio.shield(answer)
        document: object = msgspec.json.decode(response.body)
        return document

    def _use(self, keys: Keys) -> None:
        self._verifier = TokenVerifier(keys, self._rules)
        self._signer = TokenSigner(keys, self._rules)

    def _report(self, reason: str) -> None:
        """Logs the first failure of a row alone: the rest say the same, every ten seconds."""
        if self._problem is None:
            kept = "no token can be checked" if self._verifier is None else "the old keys stay"
            _log.warning("JWT_JWKS_URL cannot be read (%s): %s until it can", reason, kept)
        self._problem = f"the key set of JWT_JWKS_URL cannot be read: {reason}"

    def _unavailable(self) -> AnmeiError:
        return AnmeiError(
            ErrorCode.UNAVAILABLE,
            "the keys that tokens are checked with cannot be fetched now: try again",
            retry_after_ms=int(self._at_most_every * 1000),
        )


def _algorithm(settings: Settings) -> str:
    if settings.jwt_algorithm:
        return settings.jwt_algorithm
    return "RS256" if settings.jwt_public_key or settings.jwt_jwks_url else HS256


def _read_pem(value: str) -> str:
    """`value` itself if it is PEM, or the text of the file that it names."""
    if value.lstrip().startswith("-----BEGIN"):
        return value
    try:
        with Path(value).open() as file:
            return file.read(MAX_PEM_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(
            f"JWT_PUBLIC_KEY={ascii(value[:64])} is neither PEM nor a file that can be read: "
            f"{reason}"
        ) from None


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise SettingsError(f"JWT_JWKS_URL={ascii(url[:64])}: expected https://host/path")


def _reason(error: BaseException, timeout: float) -> str:
    if isinstance(error, TimeoutError | HTTPTimeoutError):
        return f"no whole answer within {timeout:g} s"
    if isinstance(error, HTTPStreamClosedError):
        return "the connection ended before a whole answer of a size that is allowed"
    if isinstance(error, HTTPClientError):
        return f"HTTP status {error.code}"
    if isinstance(error, BadKeys | OSError):
        return str(error)
    return "the answer is not JSON"
