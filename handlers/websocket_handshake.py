"""The server's half of the WebSocket handshake (RFC 6455, section 4.2)."""

import binascii
from typing import NamedTuple

from tornado.websocket import WebSocketHandler, WebSocketProtocol13

DEFLATE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


class Agreement(NamedTuple):
    """What client and server settled on."""

    subprotocol: str | None
    #: permessage-deflate, without context takeover in either direction.
    deflate: bool


def shake_hands(handler: WebSocketHandler) -> Agreement | None:
    """Answer an upgrade with 101; or, returning None, with 426 when the client wants another
    version than 13, or 400 when it is no proper upgrade."""
    request = handler.request
    headers = request.headers
    key = headers.get("Sec-WebSocket-Key", "")
    if headers.get("Sec-WebSocket-Version") != "13":
        handler.set_status(426)
        handler.set_header("Sec-WebSocket-Version", "13")
        handler.set_header("Upgrade", "websocket")  # as RFC 9110, 15.5.22, wants it
        handler.set_header("Connection", "Upgrade")
        handler.set_header("Content-Type", "text/plain; charset=UTF-8")
        handler.finish("Expected Sec-WebSocket-Version: 13")
        return None
    if not headers.get("Host") or request.version != "HTTP/1.1" or not is_key(key):
        handler.set_status(400)
        handler.set_header("Content-Type", "text/plain; charset=UTF-8")
        handler.finish("Expected HTTP/1.1, a Host, and a Sec-WebSocket-Key of 16 bytes in base64")
        return None
    offered = [name.strip() for name in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    subprotocol = handler.select_subprotocol([name for name in offered if name])
    if subprotocol:
        handler.set_header("Sec-WebSocket-Protocol", subprotocol)
    deflate = None
    if handler.get_compression_options() is not None:
        deflate = accepted_deflate(headers.get("Sec-WebSocket-Extensions", ""))
    if deflate is not None:
        handler.set_header("Sec-WebSocket-Extensions", deflate)
    handler.clear_header("Content-Type")
    handler.set_status(101)
    handler.set_header("Upgrade", "websocket")
    handler.set_header("Connection", "Upgrade")
    handler.set_header("Sec-WebSocket-Accept", WebSocketProtocol13.compute_accept_value(key))
    handler.finish()
    return Agreement(subprotocol, deflate is not None)


def is_key(key: str) -> bool:
    """Whether `key` is a Sec-WebSocket-Key: 16 bytes in base64."""
    try:
        return len(key) == 24 and len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        return False


def accepted_deflate(header: str) -> str | None:
    """What is answered to the first of the offers in a Sec-WebSocket-Extensions header that is a
    permessage-deflate and suits us; None where none does. Compressed frames are made once for all,
    so the peer's window must be the largest."""
    for offer in header.split(","):
        name, *parameters = offer.split(";")
        asked = _read(parameters) if name.strip() == "permessage-deflate" else None
        if asked is not None:
            # A limit of ours that is asked for is accepted by naming it (RFC 7692, 7.1.2.1).
            limit = "; server_max_window_bits=15" if "server_max_window_bits" in asked else ""
            return DEFLATE + limit
    return None


def _read(parameters: list[str]) -> set[str] | None:
    """The names of an offer's parameters; None where one does not fit."""
    seen: set[str] = set()
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        key, value = key.strip(), value.strip().strip('"')
        if key in seen:
            return None
        seen.add(key)
        if key in ("server_no_context_takeover", "client_no_context_takeover"):
            fits = not equals
        elif key == "server_max_window_bits":
            fits = value == "15"
        elif key == "client_max_window_bits":
            fits = not equals or value in ("8", "9", "10", "11", "12", "13", "14", "15")
        else:
            fits = False
        if not fits:
            return None
    return seen
