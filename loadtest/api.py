"""The few calls of the HTTP API that a load test prepares itself with."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit


class ApiError(Exception):
    """The server answered with an error; the text holds call, status and body."""


class Api:
    def __init__(self, at: int | str, token: str):
        """`at` is a port of this machine, or a URL."""
        parts = urlsplit(at if isinstance(at, str) else f"http://127.0.0.1:{at}")
        secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = connect(parts.netloc, timeout=60)
        self._token = token

    def create_conversation(self, id: str, owner_id: str, participant_ids: list[str]) -> str:
        """Create a group; returns its id. Raises ApiError."""
        body = {
            "id": id,
            "kind": "group",
            "owner_id": owner_id,
            "title": "Load test",
            "participant_ids": participant_ids,
        }
        return str(self._post("/api/v1/conversations", body)["conversation_id"])

    def token(self, user_id: str, seconds: int) -> str:
        """A token of a user, made by the server; needs the role admin. Raises ApiError."""
        body = {"user_id": user_id, "ttl_seconds": seconds}
        return str(self._post("/api/v1/tokens", body)["token"])

    def _post(self, path: str, body: object) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._connection.request("POST", path, json.dumps(body), headers)
        response = self._connection.getresponse()
        text = response.read().decode(errors="replace")
        if response.status not in (200, 201):
            raise ApiError(f"POST {path} answered {response.status}: {text[:500]}")
        answer: dict[str, Any] = json.loads(text)
        return answer
