"""What the tests of the HTTP API share: every route, and the shape of every error."""

import re
from collections.abc import Iterator
from typing import Any

from handlers.answers import METHODS
from handlers.api import ApiHandler
from handlers.routes import TABLE
from tests.support.http import Answer

ERROR_FIELDS = {"code", "message", "retryable", "request_id"}


def api_routes() -> list[tuple[str, type[ApiHandler]]]:
    """Every route but the WebSocket doors, with `absent` for each id."""
    return [
        (pattern.replace("([^/]+)", "absent").replace("(.+)", "absent"), handler)
        for pattern, handler in TABLE
        if issubclass(handler, ApiHandler)
    ]


def calls(needs: tuple[str | None, ...]) -> Iterator[tuple[str, str]]:
    """Every method and path that needs one of these roles."""
    for path, handler in api_routes():
        if handler.needs in needs:
            for method in handler.methods():
                yield method, path


def other_methods(handler: type[ApiHandler]) -> list[str]:
    return [method for method in METHODS if method not in handler.methods()]


def check_error(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The `error` of an answer that must be one, in the one shape."""
    assert answer.status == status, answer
    assert list(answer.body) == ["error"], answer
    error = answer.body["error"]
    assert error["code"] == code, answer
    assert set(error) - {"retry_after_ms", "details"} == ERROR_FIELDS, answer
    assert error["message"]
    assert re.fullmatch(r"req_[0-9a-z]{26}", error["request_id"])
    assert answer.headers["X-Request-Id"] == error["request_id"]
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in answer.headers
    return error


def without_id(answer: Answer) -> tuple[int, dict[str, str], Any]:
    """All of an answer that may not differ between what is absent and what is not for me."""
    headers = {
        name: value
        for name, value in answer.headers.get_all()
        if name not in ("X-Request-Id", "Date")
    }
    body = answer.body
    if isinstance(body, dict) and "error" in body:
        body = {"error": {**body["error"], "request_id": ""}}
    return answer.status, headers, body
