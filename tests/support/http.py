"""A small JSON client: one request, one answer, whatever its status."""

import json
from typing import Any, NamedTuple

from tornado.httpclient import HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient


class Answer(NamedTuple):
    """A status, headers and a body, parsed where it is JSON."""

    status: int
    headers: HTTPHeaders
    body: Any

    @property
    def error(self) -> str | None:
        """The code of the error shape, or None."""
        if isinstance(self.body, dict) and "error" in self.body:
            return self.body["error"]["code"]
        return None


class Http:
    """Requests to one server with one token. Never retries and follows no redirect."""

    def __init__(self, base_url: str, token: str | None = None, timeout: float = 30) -> None:
        self._base_url = base_url
        self._token = token
        self._timeout = timeout
        self._client = SimpleAsyncHTTPClient(force_instance=True, max_clients=1000)

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """`body` is sent as JSON; `raw` is sent as it is."""
        sent = dict(headers or {})
        if self._token is not None:
            sent.setdefault("Authorization", f"Bearer {self._token}")
        if raw is None and body is not None:
            raw = json.dumps(body, ensure_ascii=False).encode()
            sent.setdefault("Content-Type", "application/json")
        response = await self._client.fetch(
            HTTPRequest(
                self._base_url + path,
                method,
                headers=sent,
                body=raw,
                follow_redirects=False,
                request_timeout=self._timeout,
                connect_timeout=self._timeout,
                allow_nonstandard_methods=True,
            ),
            raise_error=False,
        )
        if response.code == 599:
            raise ConnectionError(f"{method} {path}: {response.error}")
        parsed: Any = response.body
        if response.body and "application/json" in response.headers.get("Content-Type", ""):
            parsed = json.loads(response.body)
        return Answer(response.code, response.headers, parsed)

    async def get(self, path: str, **kwargs: Any) -> Answer:
        return await self.request("GET", path, **kwargs)

    async def put(self, path: str, body: object = None, **kwargs: Any) -> Answer:
        return await self.request("PUT", path, body, **kwargs)

    async def post(self, path: str, body: object = None, **kwargs: Any) -> Answer:
        return await self.request("POST", path, body, **kwargs)

    async def delete(self, path: str, **kwargs: Any) -> Answer:
        return await self.request("DELETE", path, **kwargs)

    def close(self) -> None:
        self._client.close()
