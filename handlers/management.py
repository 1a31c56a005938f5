"""Who is connected to this process, for admins: each sees, and acts on, their own tenant alone."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterator
from heapq import nsmallest
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from actors.device import Device
from anmei.clock import now_ms, to_wire
from anmei.errors import AnmeiError, ErrorCode
from anmei.frames import Id, Limit
from anmei.ids import id_of, make_key, new_id
from anmei.inbox import is_inbox
from anmei.principal import ADMIN, ROLES
from handlers.api import ApiHandler
from handlers.readiness import Readiness

MAX_TEXT_LENGTH = 4_096
MAX_REASON_BYTES = 120  # a close frame carries 123 bytes of reason


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of a list is wanted: what comes after the id `cursor`."""

    cursor: Id | None = None
    limit: Limit = 50


class Disconnect(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST …/users/disconnect`."""

    user_id: Id
    reason: str = ""


class Broadcast(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST …/broadcast`."""

    message: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_LENGTH)]
    title: Annotated[str, Meta(max_length=200)] = ""
    type: Literal["info", "success", "warning", "error", "urgent"] = "info"


class ManagementHandler(ApiHandler):
    """What the handlers of this file share."""

    needs = ADMIN

    def devices(self) -> Iterator[Device]:
        """The devices of the admin's tenant that are connected here."""
        tenant = self.principal.tenant
        return (
            device for device in self.services.router.devices() if device.principal.tenant == tenant
        )

    def devices_of(self, user_id: str) -> list[Device]:
        key = self.key(user_id, "user")
        return list(self.services.router.devices_of(key))

    def describe(self, device: Device) -> dict[str, Any]:
        principal = device.principal
        viewing = sorted(device.viewing)
        # A connection of an inbox alone is in no session.
        session = device.only if device.only is not None and not is_inbox(device.only) else None
        session = session or (viewing[0] if viewing else None)
        return {
            "connection_id": device.connection_id,
            "user_id": principal.user_id,
            "session_id": None if session is None else id_of(session),
            "connected_at": to_wire(device.connected_at),
            "last_ping": self._time(device.pinged_at),
            "last_pong": self._time(device.transport.heard_at()),
            "is_alive": self.is_alive(device),
            "metadata": {
                "username": principal.name,
                "role": max(principal.roles, key=ROLES.index),
                "device_id": device.device_id,
                "device_type": device.device_type,
                "tenant": principal.tenant,
            },
        }

    def is_alive(self, device: Device) -> bool:
        services = self.services
        silence = services.loop.time() - device.transport.heard_at()
        return not device.closed and silence * 1000 <= services.settings.connection_timeout

    def _time(self, moment: float) -> str | None:
        """A moment of the loop's clock as a time of day; None for one that never was."""
        if not moment:
            return None
        return to_wire(now_ms() - round((self.services.loop.time() - moment) * 1000))


class Stats(ManagementHandler):
    """`/api/v1/websocket/stats`: connections are the tenant's, the totals this process's."""

    def get(self) -> None:
        devices = list(self.devices())
        counters = self.services.counters
        self.reply(
            200,
            {
                "total_connections": len(devices),
                "active_connections": sum(map(self.is_alive, devices)),
                "messages_sent": counters.deliveries,
                "messages_received": counters.frames,
                "disconnections": counters.closes.total(),
                "errors": counters.errors.total(),
                "active_users": len({device.principal.user_id for device in devices}),
                "active_sessions": len(set().union(*(device.viewing for device in devices))),
                "total_user_connections": len(devices),
                "total_session_connections": sum(len(device.viewing) for device in devices),
            },
        )


class Connections(ManagementHandler):
    """`/api/v1/websocket/connections`, in the order they were made"""

    def get(self) -> None:
        page = self.query(Page)
        after = page.cursor or ""
        found = nsmallest(
            page.limit + 1,
            (device for device in self.devices() if device.connection_id > after),
            key=lambda device: device.connection_id,
        )
        shown = found[: page.limit]
        more = len(found) > page.limit
        self.reply(
            200,
            {
                "connections": [self.describe(device) for device in shown],
                "next_cursor": shown[-1].connection_id if more else None,
            },
        )


class UserConnections(ManagementHandler):
    """`/api/v1/websocket/users/{id}/connections`"""

    def get(self, user_id: str) -> None:
        found = [self.describe(device) for device in self.devices_of(user_id)]
        self.reply(200, {"user_id": user_id, "connections": found, "total": len(found)})


class OnlineUsers(ManagementHandler):
    """`/api/v1/websocket/online-users`: everybody who is online on any node, by user id"""

    def get(self) -> None:
        page = self.query(Page)
        tenant, presence = self.principal.tenant, self.services.presence
        keys = presence.online(tenant)
        start = 0 if page.cursor is None else bisect_right(keys, make_key(tenant, page.cursor))
        shown = keys[start : start + page.limit]
        more = start + page.limit < len(keys)
        self.reply(
            200,
            {
                "users": [{"user_id": id_of(key), "status": presence.status(key)} for key in shown],
                "total": len(keys),
                "next_cursor": id_of(shown[-1]) if more else None,
            },
        )


class DisconnectUser(ManagementHandler):
    """`/api/v1/websocket/users/disconnect`"""

    def post(self) -> None:
        body = self.body(Disconnect)
        if len(body.reason.encode()) > MAX_REASON_BYTES or not body.reason.isprintable():
            raise AnmeiError(
                ErrorCode.BAD_REQUEST,
                f"reason: expected at most {MAX_REASON_BYTES} bytes without control characters",
            )
        key = self.key(body.user_id, "user")
        ended, nodes = self.services.router.kick(key, body.reason)
        self.reply(200, {"user_id": body.user_id, "disconnected": ended, "nodes": nodes})


class BroadcastAll(ManagementHandler):
    """`/api/v1/websocket/broadcast`"""

    def post(self) -> None:
        body = self.body(Broadcast)
        data = {
            "id": new_id("notify"),
            "title": body.title,
            "message": body.message,
            "type": body.type,
            "timestamp": to_wire(now_ms()),
        }
        tenant = self.principal.tenant
        delivered, nodes = self.services.router.broadcast(tenant, "system_notification", data)
        self.reply(200, {"id": data["id"], "delivered": delivered, "nodes": nodes})


class PingUser(ManagementHandler):
    """`/api/v1/websocket/ping/{user_id}`"""

    def post(self, user_id: str) -> None:
        devices = self.devices_of(user_id)
        for device in devices:
            device.pinged_at = self.services.loop.time()
            device.ping()
        self.reply(200, {"user_id": user_id, "pinged": len(devices)})


class WebSocketHealth(ManagementHandler):
    """`/api/v1/websocket/health`"""

    def initialize(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def get(self) -> None:
        bus = self.services.bus
        checks, redis = await asyncio.gather(self._readiness.check(), bus.check_up())
        problems = self._readiness.problems()
        if redis is not None and redis.problem is not None:
            problems["redis"] = redis.problem
        devices = list(self.devices())
        alive = sum(map(self.is_alive, devices))
        good = not problems and all(state == "ok" for state in checks.values())
        self.reply(
            200,
            {
                "status": "healthy" if good else "degraded",
                "checks": checks,
                "problems": problems,
                "nodes": bus.others + 1,
                "redis": None if redis is None else msgspec.to_builtins(redis),
                "timestamp": to_wire(now_ms()),
                "total_connections": len(devices),
                "active_connections": alive,
                "dead_connections": len(devices) - alive,
            },
        )
