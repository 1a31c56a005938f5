"""The access log: one line a request."""

import logging

from tornado.web import RequestHandler

from anmei.codec import printable
from handlers.bearer import redact

MAX_URI_LENGTH = 256

log = logging.getLogger("anmei.http")


def log_request(handler: RequestHandler) -> None:
    """`GET '/api/v1/unread' 200 1.3 ms req_…`; tokens in the address are taken out."""
    request = handler.request
    log.info(
        "%s %s %d %.1f ms %s",
        printable(request.method or "", 16).strip("'"),
        printable(redact(request.uri or ""), MAX_URI_LENGTH),
        handler.get_status(),
        request.request_time() * 1000,
        getattr(handler, "request_id", "-"),
    )
