"""What every handler of the HTTP API shares: who asks, what they sent, and what is done with it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import msgspec

from anmei.codec import decode_body, encode, explain
from anmei.commands import Command
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.ids import CLIENT_ID_WORDS, is_client_id, is_id, make_key, new_id
from anmei.principal import USER, Principal
from db import queries
from handlers.answers import Answers
from handlers.body_limit import STRANGER_BYTES
from handlers.caller import admit, allowed_origin

ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-API-Key"
PREFLIGHT_AGE = 600  # seconds
WRITE_TIMEOUT = 10.0  # seconds that a write may wait for its transaction
#: A body is read as JSON whatever curl's `-d` calls it: nothing here is authenticated by a cookie,
#: so no page of another site gains anything from it.
JSON_TYPES = ("application/json", "application/x-www-form-urlencoded")

T = TypeVar("T")
Struct = TypeVar("Struct", bound=msgspec.Struct)


class ApiHandler(Answers):
    """A JSON answer for whoever may ask; a subclass says in `needs` who that is."""

    #: The role that is needed: any verified token, a backend's, an admin's, or None for nobody's.
    needs: str | None = USER

    _principal: Principal | None = None

    async def prepare(self) -> None:
        self.check_method()
        role = self.role_for(self.request.method)
        limit = self.services.settings.limit_body_bytes
        if role is None:
            limit = min(limit, STRANGER_BYTES)
        if len(self.request.body) > limit:
            raise AnmeiError(
                ErrorCode.TOO_LARGE, f"the body is too long; at most {limit} bytes are allowed"
            )
        if role is not None:
            self._principal = await admit(self.request, self.services, role)
            self.services.request_limit.take(self._principal)

    @classmethod
    def role_for(cls, method: str | None) -> str | None:
        """The role that a request of this method needs; None for one that anybody may make."""
        return cls.needs if method in cls.methods() else None

    def head(self, *args: str, **kwargs: str) -> Any:
        return self.get(*args, **kwargs)

    def options(self, *args: str, **kwargs: str) -> None:
        """A browser's question before it lets a page of another origin ask."""
        if "Origin" in self.request.headers:
            if allowed_origin(self.request, self.services) is None:
                raise AnmeiError(ErrorCode.FORBIDDEN, "pages of this origin may not connect")
            self.set_header("Access-Control-Allow-Methods", ", ".join(self.methods()))
            self.set_header("Access-Control-Allow-Headers", ALLOWED_HEADERS)
            self.set_header("Access-Control-Max-Age", str(PREFLIGHT_AGE))
        self.clear_header("Content-Type")
        self.set_header("Allow", ", ".join((*self.methods(), "OPTIONS")))
        self.set_status(204)

    def compute_etag(self) -> str | None:
        return None  # nothing of an answer is kept by anybody

    # What was asked

    @property
    def principal(self) -> Principal:
        """Who asks. Only where `needs` is not None."""
        assert self._principal is not None
        return self._principal

    def body(self, struct: type[Struct]) -> Struct:
        """The body as `struct`. Raises AnmeiError for anything but JSON that fits it."""
        headers = self.request.headers
        if self.request.body:
            coding = headers.get("Content-Encoding", "identity")
            if coding.strip().lower() != "identity":
                raise _bad(f"Content-Encoding: expected none, got {ascii(coding[:64])}")
            kind = headers.get("Content-Type")
            if kind is not None and kind.partition(";")[0].strip().lower() not in JSON_TYPES:
                raise _bad(f"Content-Type: expected application/json, got {ascii(kind[:64])}")
        return cast(Struct, decode_body(self.request.body, struct))

    def query(self, struct: type[Struct]) -> Struct:
        """The parameters of the URL as `struct`. Raises AnmeiError where they do not fit."""
        values = {}
        for name, given in self.request.query_arguments.items():
            if len(given) != 1:
                raise _bad(f"{ascii(name[:64])} stands {len(given)} times in the URL")
            values[name] = given[0].decode("utf-8", "replace")
            if "\0" in values[name]:
                raise _bad(f"{ascii(name[:64])} in the URL holds U+0000, which no database keeps")
        try:
            return msgspec.convert(values, struct, strict=False)
        except msgspec.ValidationError as error:
            raise _bad(f"the parameters of the URL: {explain(error, struct)}") from None

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        # What is not UTF-8 is no id, and is answered as one that is absent.
        return value.decode("utf-8", "replace")

    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key` header, None where there is none."""
        given = self.request.headers.get_list("Idempotency-Key")
        if not given:
            return None
        if len(given) > 1 or not is_client_id(given[0]):
            raise _bad(f"Idempotency-Key: expected {CLIENT_ID_WORDS}, once")
        return given[0]

    def client_msg_id(self, given: str | None) -> str:
        """What a message goes by when it is asked for again: the header, or what is `given` in the
        body; where there is neither, something new."""
        header = self.idempotency_key()
        if header is not None and given not in (None, header):
            raise _bad("Idempotency-Key and client_msg_id differ: send one")
        return header or given or new_id("auto")

    def key(self, id: str, what: str = "conversation") -> str:
        """The key of an id that stands in the path, in the tenant of whoever asks."""
        if not is_id(id):
            raise not_found(what)
        return make_key(self.principal.tenant, id)

    def acting_for(self, user_id: str | None, field: str) -> str:
        """The id of the user that the request is about: whoever asks, or whom a backend names.

        Raises AnmeiError (FORBIDDEN) where somebody else names another one.
        """
        principal = self.principal
        if user_id is None or user_id == principal.user_id:
            return principal.user_id
        if not principal.acts_for_others:
            raise AnmeiError(ErrorCode.FORBIDDEN, f"{field}: only a service may name another user")
        return user_id

    async def name_of(self, user_id: str) -> str:
        """The display name of the user that `acting_for` found: what the token says of whoever
        asks, for somebody else the name that is known, and the id where there is none."""
        principal = self.principal
        if user_id == principal.user_id:
            return principal.name
        name = await self.read(queries.display_name, make_key(principal.tenant, user_id))
        return name or user_id

    # What is done about it

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        """`query(database, *args)` of `db.queries`."""
        future = cast("Future[T]", self.services.store.read(query, *args))
        return await asyncio.wrap_future(future)

    async def write_aside(self, work: Callable[..., T], *args: Any) -> T:
        """`work(database, *args)` in a transaction beside those of messages; see `Store.aside`."""
        future = cast("Future[T]", self.services.store.aside(work, *args))
        return await asyncio.wrap_future(future)

    async def commit(self, command: Command) -> dict[str, Any]:
        """The reply to `command` once it is committed; its error is raised."""
        return await self.services.archive.ask(command, WRITE_TIMEOUT)

    def reply(self, status: int, value: object) -> None:
        self.set_status(status)
        self.finish(encode(value))


class Absent(ApiHandler):
    """Every path that is no route."""

    needs = None

    async def prepare(self) -> None:
        raise not_found("page")


class Refused(ApiHandler):
    """Stands in for the handler where who asks was refused before the body was read."""

    needs = None

    def initialize(self, error: AnmeiError) -> None:
        self._error = error

    async def prepare(self) -> None:
        raise self._error


def _bad(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, message)
