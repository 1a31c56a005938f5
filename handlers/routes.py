"""The routing table: every door of the server, and who stands behind it."""

from pathlib import Path
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import URLSpec
from tornado.web import Application, RequestHandler

from anmei.bucket import Bucket
from anmei.errors import AnmeiError
from anmei.settings import split
from handlers import (
    audit,
    changes,
    chat,
    conversations,
    demo,
    exports,
    files,
    health,
    inbox,
    management,
    message_status,
    messages,
    metrics,
    pages,
    preferences,
    revocations,
    search,
    tags,
    templates,
    tokens,
)
from handlers.access_log import log_request
from handlers.api import Absent, ApiHandler, Refused
from handlers.body_limit import BodyLimit
from handlers.caller import admit
from handlers.readiness import Readiness
from handlers.services import Services

WEB = Path(__file__).parent.parent / "web"

#: One part of a path. Whether it is an id is for the handler to say, as it does of one that is
#: well made and absent: with the same answer.
ID = "([^/]+)"
V1, WS = "/api/v1", "/api/v1/websocket"

TABLE: tuple[tuple[str, type[RequestHandler]], ...] = (
    ("/ws/chat", chat.ChatSocket),
    (f"/ws/chat/session/{ID}", chat.ChatSocket),
    (f"/ws/user/{ID}/messages", chat.InboxSocket),
    (f"{V1}/conversations", conversations.Conversations),
    (f"{V1}/conversations/{ID}", conversations.Conversation),
    (f"{V1}/conversations/{ID}/participants", conversations.Participants),
    (f"{V1}/conversations/{ID}/participants/{ID}", conversations.Participant),
    (f"{V1}/conversations/{ID}/messages", messages.Messages),
    (f"{V1}/conversations/{ID}/export", exports.Export),
    (f"{V1}/conversations/{ID}/read", messages.ReadMark),
    (f"{V1}/conversations/{ID}/pins", changes.Pins),
    # Before what takes any id.
    (f"{V1}/messages/search", search.Search),
    (f"{V1}/messages/{ID}", changes.Message),
    (f"{V1}/messages/{ID}/recall", changes.Recall),
    (f"{V1}/messages/{ID}/forward", changes.ForwardTo),
    (f"{V1}/messages/{ID}/reactions", changes.Reactions),
    (f"{V1}/messages/{ID}/reactions/{ID}", changes.Reaction),
    (f"{V1}/messages/{ID}/pin", changes.Pin),
    (f"{V1}/audit", audit.Audit),
    (f"{V1}/chat/{ID}/send", messages.ChatSend),
    (f"{V1}/messages/{ID}/tags", tags.MessageTags),
    (f"{V1}/messages/{ID}/tags/{ID}", tags.MessageTag),
    (f"{V1}/conversations/{ID}/tags", tags.ConversationTags),
    (f"{V1}/conversations/{ID}/tags/{ID}", tags.ConversationTag),
    (f"{V1}/conversations/{ID}/category", tags.Category),
    (f"{V1}/tags", tags.Tags),
    (f"{V1}/tags/{ID}/messages", tags.TaggedMessages),
    (f"{V1}/tags/{ID}/conversations", tags.TaggedConversations),
    (f"{V1}/categories", tags.Categories),
    (f"{V1}/categories/{ID}/conversations", tags.CategoryConversations),
    (f"{V1}/templates", templates.Templates),
    (f"{V1}/templates/{ID}", templates.OneTemplate),
    (f"{V1}/messages/{ID}/status", message_status.MessageStatus),
    (f"{V1}/conversations/{ID}/preferences", preferences.ConversationPreference),
    (f"{V1}/preferences", preferences.Preferences),
    (f"{V1}/messages", inbox.Posts),
    (f"{V1}/inbox", inbox.Inbox),
    (f"{V1}/inbox/read", inbox.InboxReadMark),
    (f"{V1}/inbox/{ID}", inbox.InboxMessage),
    (f"{V1}/unread", messages.Unread),
    (f"{V1}/files", files.Files),
    (f"{V1}/files/{ID}", files.File),
    (f"{V1}/tokens", tokens.Tokens),
    (f"{V1}/tokens/revoke", revocations.RevokeToken),
    (f"{V1}/tokens/revocations", revocations.RevokedList),
    (f"{WS}/stats", management.Stats),
    (f"{WS}/connections", management.Connections),
    (f"{WS}/users/{ID}/connections", management.UserConnections),
    (f"{WS}/online-users", management.OnlineUsers),
    (f"{WS}/health", management.WebSocketHealth),
    (f"{WS}/users/disconnect", management.DisconnectUser),
    (f"{WS}/broadcast", management.BroadcastAll),
    (f"{WS}/ping/{ID}", management.PingUser),
    ("/healthz", health.Healthz),
    ("/readyz", health.Readyz),
    ("/metrics", metrics.Metrics),
    ("/demo/sign-in", demo.SignIn),
    ("/", pages.Pages),
    ("/web/(.+)", pages.Pages),
)


def make_app(services: Services, web: Path = WEB) -> Application:
    """The application of one server; files of the page are read from `web`, once."""
    settings = services.settings
    origins = {"origins": split(settings.allowed_origins)}
    readiness = {"readiness": Readiness(services)}
    #: What a handler takes besides the services.
    parts: dict[type[RequestHandler], dict[str, Any]] = {
        chat.ChatSocket: origins,
        chat.InboxSocket: origins,
        exports.Export: {"running": exports.Running()},
        management.WebSocketHealth: readiness,
        health.Readyz: readiness,
        search.Search: {"queue": search.SearchQueue()},
        metrics.Metrics: {"registry": metrics.make_registry(services)},
        demo.SignIn: {"bucket": Bucket(demo.RATE, demo.BURST, services.loop.time())},
        pages.Pages: {"files": pages.read_files(web)},
    }
    return _Routes(
        [
            URLSpec(pattern, handler, {"services": services, **parts.get(handler, {})})
            for pattern, handler in TABLE
        ],
        services=services,
        log_function=log_request,
        default_handler_class=Absent,
        default_handler_args={"services": services},
    )


class _Routes(Application):
    """Stands between the connection and the handlers, so that the body of a request is not kept
    for whoever may not make it."""

    def get_handler_delegate(  # type: ignore[override]
        self, request: HTTPServerRequest, target_class: type[RequestHandler], *args: Any, **kw: Any
    ) -> HTTPMessageDelegate:
        make = super().get_handler_delegate
        inner = make(request, target_class, *args, **kw)
        connection = request.connection
        if not isinstance(connection, HTTP1Connection):
            return inner
        if issubclass(target_class, files.TusHandler):
            return inner  # reads its body as it comes
        services: Services = self.settings["services"]
        limit = services.settings.limit_body_bytes
        role = None
        if issubclass(target_class, ApiHandler):
            role = target_class.role_for(request.method)
        if role is None:
            return BodyLimit(inner, connection, limit, None)

        async def refusal() -> HTTPMessageDelegate | None:
            try:
                await admit(request, services, role)
            except AnmeiError as error:
                return make(request, Refused, {"services": services, "error": error})
            return None

        return BodyLimit(inner, connection, limit, refusal)
