"""The settings of the server itself: where it runs, whom it lets in, how it minds connections."""

from typing import Annotated, Literal

import msgspec

from anmei.settings_about import about


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The first part of `Settings`."""

    # Where it runs
    env: Annotated[
        Literal["development", "production"],
        about("ANMEI_ENV", "", "`production` refuses the development secret and the demo page."),
    ] = "development"
    host: Annotated[str, about("ANMEI_HOST", "", "The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int,
        about("ANMEI_PORT", "", "The port to listen on; 0 picks a free one.", ge=0, le=65535),
    ] = 8000
    workers: Annotated[
        int,
        about("ANMEI_WORKERS", "processes", "How many serve the port together.", ge=1, le=256),
    ] = 1
    worker_port: Annotated[
        int,
        about(
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
        about("ANMEI_DATA_DIR", "", "Where the SQLite file and the development secret lie."),
    ] = "data"
    database_url: Annotated[
        str,
        about(
            "DATABASE_URL",
            "",
            "`postgresql://…` or `sqlite:///file`; empty is `anmei.db` in the data directory.",
            secret=True,
        ),
    ] = ""
    redis_url: Annotated[
        str,
        about(
            "REDIS_URL",
            "",
            "How nodes find each other: `redis://…`, `rediss://…`, `unix://…`, "
            "`redis+sentinel://…` or `redis+cluster://…`; empty: one process alone.",
            secret=True,
        ),
    ] = ""
    redis_password: Annotated[
        str,
        about(
            "REDIS_PASSWORD", "", "The password of Redis, where it is not in the URL.", secret=True
        ),
    ] = ""
    redis_prefix: Annotated[
        str,
        about(
            "ANMEI_REDIS_PREFIX",
            "",
            "What keys and channels between nodes begin with; one server's nodes have the same.",
            pattern=r"^[A-Za-z0-9_.-]{1,64}$(?!\n)",
        ),
    ] = "anmei"
    secret: Annotated[
        str,
        about(
            "ANMEI_SECRET",
            "",
            "What nodes sign with what they tell each other, the same on all, 32 bytes or more; "
            "several, separated by commas: the first signs, all verify. Empty: `JWT_SECRET`. "
            "Needed with `REDIS_URL` where tokens are verified with public keys: those are no "
            "secret.",
            secret=True,
        ),
    ] = ""
    redis_mirror: Annotated[
        bool,
        about(
            "ANMEI_REDIS_MIRROR",
            "",
            "Whether unread counts and the states of messages are written to Redis, for other "
            "programs to read.",
        ),
    ] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        about("ANMEI_LOG_LEVEL", "", "The least serious log line that is written."),
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"],
        about("ANMEI_LOG_FORMAT", "", "One line of text, or one JSON object, for each event."),
    ] = "text"
    demo: Annotated[
        Literal["auto", "on", "off"],
        about(
            "ANMEI_DEMO",
            "",
            "Whether the page at `/` signs anybody in; `auto`: in development only.",
        ),
    ] = "auto"

    # Who may come in
    jwt_secret: Annotated[
        str,
        about(
            "JWT_SECRET",
            "",
            "The HS256 secrets, separated by commas; the first signs, all verify. "
            "Each has 32 bytes or more.",
            secret=True,
        ),
    ] = ""
    jwt_public_key: Annotated[
        str,
        about(
            "JWT_PUBLIC_KEY",
            "",
            "A public key, PEM or the path of a PEM file, for tokens that another server signs.",
        ),
    ] = ""
    jwt_jwks_url: Annotated[
        str,
        about("JWT_JWKS_URL", "", "Where another server publishes the keys it signs with."),
    ] = ""
    jwt_algorithm: Annotated[
        Literal["", "HS256", "RS256", "ES256", "EdDSA"],
        about(
            "JWT_ALGORITHM",
            "",
            "The one algorithm that is accepted; empty: HS256, or with a public key or JWKS RS256.",
        ),
    ] = ""
    jwt_issuer: Annotated[
        str, about("JWT_ISSUER", "", "Where set, `iss` must be exactly this.")
    ] = ""
    jwt_audience: Annotated[
        str, about("JWT_AUDIENCE", "", "Where set, `aud` must be, or contain, exactly this.")
    ] = ""
    jwt_leeway: Annotated[
        int,
        about("JWT_LEEWAY", "s", "How far another clock may be off.", ge=0, le=300),
    ] = 5
    jwt_max_lifetime: Annotated[
        int,
        about("JWT_MAX_LIFETIME", "s", "The longest that a token may last.", ge=60),
    ] = 30 * 86_400
    api_key: Annotated[
        str,
        about(
            "ANMEI_API_KEY",
            "",
            "The `X-API-Key` values of backends (role `service`), separated by commas, "
            "32 bytes or more each.",
            secret=True,
        ),
    ] = ""
    allowed_origins: Annotated[
        str,
        about(
            "ANMEI_ALLOWED_ORIGINS",
            "",
            "Origins of pages that may connect, separated by commas; `*` is any. "
            "Empty: pages of this host alone.",
        ),
    ] = ""
    auth_timeout: Annotated[
        int,
        about("ANMEI_AUTH_TIMEOUT", "ms", "How long a connection may go without a token.", ge=100),
    ] = 10_000

    # Connections
    heartbeat_interval: Annotated[
        int,
        about("WS_HEARTBEAT_INTERVAL", "ms", "How often the server pings a connection.", ge=100),
    ] = 30_000
    connection_timeout: Annotated[
        int,
        about("WS_CONNECTION_TIMEOUT", "ms", "Silence after which a connection ends.", ge=200),
    ] = 60_000
    answer_timeout: Annotated[
        int,
        about(
            "ANMEI_ANSWER_TIMEOUT",
            "ms",
            "How long a client may leave an HTTP answer unread before the connection ends.",
            ge=100,
        ),
    ] = 30_000
    max_reconnect_attempts: Annotated[
        int,
        about(
            "WS_MAX_RECONNECT_ATTEMPTS", "", "What clients are told to try before giving up.", ge=0
        ),
    ] = 15
    sync_wait: Annotated[
        int,
        about(
            "ANMEI_SYNC_WAIT",
            "ms",
            "How long a client with `?resume=client` may take to send `sync`.",
            ge=0,
        ),
    ] = 5_000
    presence_grace: Annotated[
        int,
        about(
            "ANMEI_PRESENCE_GRACE",
            "ms",
            "How long a user whose last connection broke is still shown as online.",
            ge=0,
        ),
    ] = 5_000
    drain_timeout: Annotated[
        int,
        about("ANMEI_DRAIN_TIMEOUT", "ms", "The longest that a stop may take.", ge=0),
    ] = 15_000
    compression: Annotated[
        bool,
        about("ANMEI_COMPRESSION", "", "Whether permessage-deflate is offered to clients."),
    ] = False
    write_rate: Annotated[
        int,
        about(
            "ANMEI_WRITE_RATE",
            "writes/s",
            "How often a device is sent to without a wait; what comes for it more often leaves "
            "together, except with answers to its own frames. 0: nothing waits.",
            ge=0,
        ),
    ] = 20
    write_delay: Annotated[
        int,
        about(
            "ANMEI_WRITE_DELAY",
            "ms",
            "The longest that something waits for more to leave with; 0: nothing waits.",
            ge=0,
            le=1_000,
        ),
    ] = 50

    # The process
    gc_threshold: Annotated[
        int,
        about(
            "ANMEI_GC_THRESHOLD",
            "objects",
            "Objects made before the garbage collector looks at young ones, what lives being left "
            "out; 0 leaves it as Python sets it.",
            ge=0,
        ),
    ] = 50_000
    loop: Annotated[
        Literal["asyncio", "uvloop"],
        about("ANMEI_LOOP", "", "The event loop; `uvloop` wants the package of that name."),
    ] = "asyncio"
