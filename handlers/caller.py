"""Who makes an HTTP request, and whether they may."""

from tornado.httputil import HTTPServerRequest

from anmei.errors import AnmeiError, ErrorCode
from anmei.principal import ADMIN, SERVICE, Principal
from anmei.settings import split
from handlers.bearer import find_service, find_token, origin_allowed
from handlers.services import Services


async def find_caller(request: HTTPServerRequest, services: Services) -> Principal:
    """The bearer of the token in `Authorization`, or the backend of the key in `X-API-Key`.

    Raises AnmeiError: UNAUTHORIZED, or UNAVAILABLE while tokens cannot be checked.
    """
    if "token" in request.query_arguments:
        raise AnmeiError(
            ErrorCode.UNAUTHORIZED,
            "a token in the URL ends up in logs: send it as Authorization: Bearer",
        )
    # First, since it refuses a request that carries both.
    token = find_token(request)
    service = find_service(request, split(services.settings.api_key))
    if service is not None:
        return service
    if token is None or "Authorization" not in request.headers:
        raise AnmeiError(
            ErrorCode.UNAUTHORIZED, "expected Authorization: Bearer <token>, or X-API-Key"
        )
    return await services.keyring.verify_async(token)


async def admit(request: HTTPServerRequest, services: Services, role: str) -> Principal:
    """Whoever asks, where they have the role. Raises AnmeiError as `find_caller` and `check_role`
    do."""
    caller = await find_caller(request, services)
    check_role(caller, role)
    return caller


def check_role(caller: Principal, needed: str) -> None:
    """Raises AnmeiError (FORBIDDEN) unless `caller` has the role: an admin has every one, and a
    service that of a user."""
    if (needed == ADMIN and not caller.is_admin) or (
        needed == SERVICE and not caller.acts_for_others
    ):
        raise AnmeiError(ErrorCode.FORBIDDEN, f"this needs the role {needed}")


def allowed_origin(request: HTTPServerRequest, services: Services) -> str | None:
    """What `Access-Control-Allow-Origin` says to the page that asks; None where it says nothing,
    since no page asks or it may not."""
    origin = request.headers.get("Origin")
    allowed = split(services.settings.allowed_origins)
    if origin is None or not origin_allowed(origin, request.host, allowed):
        return None
    return "*" if "*" in allowed else origin
