"""One shape for whatever goes wrong, and the headers that every answer has."""

import asyncio
import logging
import math
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler

from anmei.codec import encode
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import new_id
from db.errors import StoreUnavailable
from handlers.answer_deadline import AnswerDeadline
from handlers.caller import allowed_origin
from handlers.services import Services

EXPOSED_HEADERS = "Retry-After, X-Request-Id"
DEFAULT_RETRY_AFTER_MS = 1_000

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_BY_STATUS = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.TOO_LARGE,
    503: ErrorCode.OVERLOADED,
}

log = logging.getLogger("anmei.http")


class Answers(RequestHandler):
    """Answers whatever is raised in a handler in the one error shape, `{"error": {"code",
    "message", "retryable", …, "request_id"}}`."""

    def __init__(
        self,
        application: Application,
        request: HTTPServerRequest,
        *,
        services: Services,
        **parts: Any,
    ) -> None:
        # Before the base class, which asks for the default headers already.
        self.services = services
        self.request_id = new_id("req")
        #: Headers of an error that is answered next.
        self.told: dict[str, str] = {}
        super().__init__(application, request, **parts)

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "asyncio.Future[None]":
        connection = self.request.connection
        written = super().finish(chunk)
        # What follows a 101 is no answer, and the connection not HTTP's any more.
        if isinstance(connection, HTTP1Connection) and self.get_status() != 101:
            patience = self.services.settings.answer_timeout / 1000
            AnswerDeadline(connection.stream, patience, self.services.loop)
        return written

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.set_header("X-Request-Id", self.request_id)
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Vary", "Origin")
        origin = allowed_origin(self.request, self.services)
        if origin is not None:
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Expose-Headers", EXPOSED_HEADERS)

    @classmethod
    def methods(cls) -> tuple[str, ...]:
        """The methods that this route answers; HEAD where GET is."""
        missing = RequestHandler._unimplemented_method
        found = [name for name in METHODS if getattr(cls, name.lower()) is not missing]
        return tuple(name for name in found if name != "HEAD" or "GET" in found)

    def check_method(self) -> None:
        """Raises HTTPError (405) for a method that this route does not answer."""
        if self.request.method not in (*self.methods(), "OPTIONS"):
            raise HTTPError(405)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        answer = self._answer(status_code, error)
        self.set_status(answer.code.status)
        for name, value in self.told.items():
            self.set_header(name, value)
        if answer.code is ErrorCode.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join((*self.methods(), "OPTIONS")))
        if answer.code is ErrorCode.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", "Bearer")
        if answer.code.status in (429, 503):
            wait = answer.retry_after_ms or DEFAULT_RETRY_AFTER_MS
            self.set_header("Retry-After", str(math.ceil(wait / 1000)))
        self.services.counters.errors[answer.code.code] += 1
        self.finish(encode({"error": {**answer.to_wire(), "request_id": self.request_id}}))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Expected answers are in the access log; a failure gets a line of its own."""
        expected = isinstance(value, AnmeiError | StoreUnavailable | HTTPError)
        if not expected or getattr(value, "code", None) is ErrorCode.INTERNAL:
            log.error("%s failed: %r", self.request_id, value, exc_info=value)

    def _answer(self, status: int, error: BaseException | None) -> AnmeiError:
        if isinstance(error, AnmeiError):
            return error
        if isinstance(error, StoreUnavailable):
            return AnmeiError(
                ErrorCode.UNAVAILABLE,
                "the database cannot be reached",
                retry_after_ms=DEFAULT_RETRY_AFTER_MS,
            )
        code = _BY_STATUS.get(status)
        if code is None:
            code = ErrorCode.BAD_REQUEST if 400 <= status < 500 else ErrorCode.INTERNAL
        if code is ErrorCode.METHOD_NOT_ALLOWED:
            return AnmeiError(code, f"allowed here are {', '.join(self.methods()) or 'none'}")
        if code is ErrorCode.INTERNAL:
            return AnmeiError(code, "the server failed; its log has more under the request_id")
        return AnmeiError(code, code.doc)
