"""Every setting, once: name, type, default, unit and one sentence.

`settings_reader` reads them, once at start. Names that other systems use already (`DATABASE_URL`,
`JWT_SECRET`, `WS_…`) are kept; ours begin with `ANMEI_`. `docs/settings.md` shows the same table.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class SettingsError(Exception):
    """A setting that cannot be used; the text names it, what came and what is allowed."""


def _about(name: str, unit: str, doc: str, *, secret: bool = False, **limits: Any) -> Meta:
    extra = {"name": name, "unit": unit, "secret": secret}
    return Meta(description=doc, extra=extra, **limits)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one process. Times are in the unit that the table names."""

    # Where it runs
    env: Annotated[
        Literal["development", "production"],
        _about("ANMEI_ENV", "", "`production` refuses the development secret and the demo page."),
    ] = "development"
    host: Annotated[str, _about("ANMEI_HOST", "", "The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int,
        _about("ANMEI_PORT", "", "The port to listen on; 0 picks a free one.", ge=0, le=65535),
    ] = 8000
    workers: Annotated[
        int,
        _about("ANMEI_WORKERS", "processes", "How many serve the port together.", ge=1, le=256),
    ] = 1
    worker_port: Annotated[
        int,
        _about(
            "ANMEI_WORKER_PORT",
            "",
            "With several workers: worker *n* alone is reached on this port + *n* − 1 too, for "
            "its `/metrics`; 0: it is not.",
            ge=0,
            le=65535,
        ),
    ] = 0
    data_dir: Annotated[
        str,
        _about("ANMEI_DATA_DIR", "", "Where the SQLite file and the development secret lie."),
    ] = "data"
    database_url: Annotated[
        str,
        _about(
            "DATABASE_URL",
            "",
            "`postgresql://…` or `sqlite:///file`; empty is `anmei.db` in the data directory.",
            secret=True,
        ),
    ] = ""
    redis_url: Annotated[
        str,
        _about(
            "REDIS_URL",
            "",
            "How nodes find each other: `redis://…`, `rediss://…`, `unix://…`, "
            "`redis+sentinel://…` or `redis+cluster://…`; empty: one process alone.",
            secret=True,
        ),
    ] = ""
    redis_password: Annotated[
        str,
        _about(
            "REDIS_PASSWORD", "", "The password of Redis, where it is not in the URL.", secret=True
        ),
    ] = ""
    redis_prefix: Annotated[
        str,
        _about(
            "ANMEI_REDIS_PREFIX",
            "",
            "What keys and channels between nodes begin with; one server's nodes have the same.",
            pattern=r"^[A-Za-z0-9_.-]{1,64}$(?!\n)",
        ),
    ] = "anmei"
    secret: Annotated[
        str,
        _about(
            "ANMEI_SECRET",
            "",
            "What nodes sign with what they tell each other, the same on all, 32 bytes or more; "
            "several, separated by commas: the first signs, all verify. Empty: `JWT_SECRET`. "
            "Needed with `REDIS_URL` where tokens are verified with public keys: those are no "
            "secret.",
            secret=True,
        ),
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _about("ANMEI_LOG_LEVEL", "", "The least serious log line that is written."),
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"],
        _about("ANMEI_LOG_FORMAT", "", "One line of text, or one JSON object, for each event."),
    ] = "text"
    demo: Annotated[
        Literal["auto", "on", "off"],
        _about(
            "ANMEI_DEMO",
            "",
            "Whether the page at `/` signs anybody in; `auto`: in development only.",
        ),
    ] = "auto"

    # Who may come in
    jwt_secret: Annotated[
        str,
        _about(
            "JWT_SECRET",
            "",
            "The HS256 secrets, separated by commas; the first signs, all verify. "
            "Each has 32 bytes or more.",
            secret=True,
        ),
    ] = ""
    jwt_public_key: Annotated[
        str,
        _about(
            "JWT_PUBLIC_KEY",
            "",
            "A public key, PEM or the path of a PEM file, for tokens that another server signs.",
        ),
    ] = ""
    jwt_jwks_url: Annotated[
        str,
        _about("JWT_JWKS_URL", "", "Where another server publishes the keys it signs with."),
    ] = ""
    jwt_algorithm: Annotated[
        Literal["", "HS256", "RS256", "ES256", "EdDSA"],
        _about(
            "JWT_ALGORITHM",
            "",
            "The one algorithm that is accepted; empty: HS256, or with a public key or JWKS RS256.",
        ),
    ] = ""
    jwt_issuer: Annotated[
        str, _about("JWT_ISSUER", "", "Where set, `iss` must be exactly this.")
    ] = ""
    jwt_audience: Annotated[
        str, _about("JWT_AUDIENCE", "", "Where set, `aud` must be, or contain, exactly this.")
    ] = ""
    jwt_leeway: Annotated[
        int,
        _about("JWT_LEEWAY", "s", "How far another clock may be off.", ge=0, le=300),
    ] = 5
    jwt_max_lifetime: Annotated[
        int,
        _about("JWT_MAX_LIFETIME", "s", "The furthest `exp` that is accepted.", ge=60),
    ] = 30 * 86_400
    api_key: Annotated[
        str,
        _about(
            "ANMEI_API_KEY",
            "",
            "The `X-API-Key` values of backends (role `service`), separated by commas, "
            "32 bytes or more each.",
            secret=True,
        ),
    ] = ""
    allowed_origins: Annotated[
        str,
        _about(
            "ANMEI_ALLOWED_ORIGINS",
            "",
            "Origins of pages that may connect, separated by commas; `*` is any. "
            "Empty: pages of this host alone.",
        ),
    ] = ""
    auth_timeout: Annotated[
        int,
        _about("ANMEI_AUTH_TIMEOUT", "ms", "How long a connection may go without a token.", ge=100),
    ] = 10_000

    # Connections
    heartbeat_interval: Annotated[
        int,
        _about("WS_HEARTBEAT_INTERVAL", "ms", "How often the server pings a connection.", ge=100),
    ] = 30_000
    connection_timeout: Annotated[
        int,
        _about("WS_CONNECTION_TIMEOUT", "ms", "Silence after which a connection ends.", ge=200),
    ] = 60_000
    answer_timeout: Annotated[
        int,
        _about(
            "ANMEI_ANSWER_TIMEOUT",
            "ms",
            "How long a client may leave an HTTP answer unread before the connection ends.",
            ge=100,
        ),
    ] = 30_000
    max_reconnect_attempts: Annotated[
        int,
        _about(
            "WS_MAX_RECONNECT_ATTEMPTS", "", "What clients are told to try before giving up.", ge=0
        ),
    ] = 15
    sync_wait: Annotated[
        int,
        _about(
            "ANMEI_SYNC_WAIT",
            "ms",
            "How long a client with `?resume=client` may take to send `sync`.",
            ge=0,
        ),
    ] = 5_000
    presence_grace: Annotated[
        int,
        _about(
            "ANMEI_PRESENCE_GRACE",
            "ms",
            "How long a user whose last connection broke is still shown as online.",
            ge=0,
        ),
    ] = 5_000
    drain_timeout: Annotated[
        int,
        _about("ANMEI_DRAIN_TIMEOUT", "ms", "The longest that a stop may take.", ge=0),
    ] = 15_000
    compression: Annotated[
        bool,
        _about("ANMEI_COMPRESSION", "", "Whether permessage-deflate is offered to clients."),
    ] = False

    # The process
    gc_threshold: Annotated[
        int,
        _about(
            "ANMEI_GC_THRESHOLD",
            "objects",
            "Objects made before the garbage collector looks at young ones, what lives being left "
            "out; 0 leaves it as Python sets it.",
            ge=0,
        ),
    ] = 50_000
    loop: Annotated[
        Literal["asyncio", "uvloop"],
        _about("ANMEI_LOOP", "", "The event loop; `uvloop` wants the package of that name."),
    ] = "asyncio"

    # Limits
    limit_connections_per_user: Annotated[
        int,
        _about("ANMEI_LIMIT_CONNECTIONS_PER_USER", "", "Past it the oldest is replaced.", ge=1),
    ] = 5
    limit_connections: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_CONNECTIONS",
            "",
            "WebSocket connections of one process; 0 is no limit. In production set it below the "
            "open files that the process may have (`ulimit -n`) and what its memory holds.",
            ge=0,
        ),
    ] = 0
    limit_frames_per_second: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_FRAMES_PER_SECOND",
            "frames/s",
            "What one connection may send on average; 0 switches the limit off.",
            ge=0,
        ),
    ] = 100
    limit_frames_burst: Annotated[
        int,
        _about("ANMEI_LIMIT_FRAMES_BURST", "frames", "What it may send at once.", ge=1),
    ] = 500
    limit_frame_bytes: Annotated[
        int,
        _about("ANMEI_LIMIT_FRAME_BYTES", "bytes", "The largest frame of a client.", ge=1024),
    ] = 262_144
    limit_content_bytes: Annotated[
        int,
        _about("ANMEI_LIMIT_CONTENT_BYTES", "bytes", "The longest `content`, in UTF-8.", ge=1),
    ] = 65_536
    limit_body_bytes: Annotated[
        int,
        _about("ANMEI_LIMIT_BODY_BYTES", "bytes", "The largest HTTP body.", ge=1024),
    ] = 1_048_576
    limit_requests_per_second: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_REQUESTS_PER_SECOND",
            "requests/s",
            "HTTP requests of one user on average, services and admins excepted; 0 is no limit.",
            ge=0,
        ),
    ] = 50
    limit_requests_burst: Annotated[
        int,
        _about("ANMEI_LIMIT_REQUESTS_BURST", "requests", "What one user may ask at once.", ge=1),
    ] = 200
    limit_inbox_frames: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_INBOX_FRAMES",
            "frames",
            "Frames of one user that may wait; past it reading from the user pauses.",
            ge=1,
        ),
    ] = 256
    limit_outbound_bytes: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_OUTBOUND_BYTES",
            "bytes",
            "What may wait for one device; past half of it typing and presence are left out, "
            "past it the connection ends.",
            ge=16_384,
        ),
    ] = 262_144
    limit_replay: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_REPLAY",
            "events",
            "The longest backlog of one conversation that is replayed; past it: `reset`.",
            ge=1,
            le=10_000,
        ),
    ] = 500
    limit_archive_queue: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_ARCHIVE_QUEUE",
            "writes",
            "Writes that may wait for the database; past it sends are `overloaded`.",
            ge=1,
        ),
    ] = 10_000
    limit_members: Annotated[
        int,
        _about("ANMEI_LIMIT_MEMBERS", "users", "The most participants of a conversation.", ge=2),
    ] = 10_000
    limit_conversations_per_owner: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_CONVERSATIONS_PER_OWNER",
            "",
            "The most conversations that a user may own, other than by a service; 0 is no limit.",
            ge=0,
        ),
    ] = 10_000
    limit_presence_members: Annotated[
        int,
        _about(
            "ANMEI_LIMIT_PRESENCE_MEMBERS",
            "users",
            "In conversations larger than this nobody is told who comes and goes.",
            ge=0,
        ),
    ] = 200

    # The store
    db_readers: Annotated[
        int, _about("ANMEI_DB_READERS", "threads", "Threads that read the database.", ge=1, le=64)
    ] = 4
    db_timeout: Annotated[
        int,
        _about(
            "ANMEI_DB_TIMEOUT", "ms", "The longest that one statement or lock may take.", ge=100
        ),
    ] = 5_000
    db_batch: Annotated[
        int,
        _about("ANMEI_DB_BATCH", "writes", "The most writes in one transaction.", ge=1, le=5_000),
    ] = 512


def split(text: str) -> tuple[str, ...]:
    """The values of a setting that holds several, separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
