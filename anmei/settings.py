"""Every setting, once: name, type, default, unit and one sentence.

Read once at start from flags, the environment and `.env`, in this order of precedence. A value
that does not fit, or an `ANMEI_…` name that is not in the table, stops the start with a sentence
that names it. Names that other systems use already (`DATABASE_URL`, `JWT_SECRET`, `WS_…`) are
kept; ours begin with `ANMEI_`. `docs/settings.md` shows the same table.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

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

    # Limits
    limit_connections_per_user: Annotated[
        int,
        _about("ANMEI_LIMIT_CONNECTIONS_PER_USER", "", "Past it the oldest is replaced.", ge=1),
    ] = 5
    limit_connections: Annotated[
        int,
        _about("ANMEI_LIMIT_CONNECTIONS", "", "Connections of one process; 0 is no limit.", ge=0),
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


class Row(msgspec.Struct, frozen=True):
    """One line of the table."""

    field: str
    name: str
    type: Any
    default: Any
    unit: str
    secret: bool
    doc: str


def _rows() -> tuple[Row, ...]:
    rows = []
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        meta = hints[field.name].__metadata__[0]
        rows.append(
            Row(
                field=field.name,
                type=hints[field.name],
                default=field.default,
                doc=meta.description,
                name=meta.extra["name"],
                unit=meta.extra["unit"],
                secret=meta.extra["secret"],
            )
        )
    return tuple(rows)


TABLE = _rows()


def type_name(row: Row) -> str:
    """The type of a setting as people read it: `int`, `bool`, `text`, or its choices."""
    base = get_args(row.type)[0]
    if get_origin(base) is Literal:
        return " | ".join(choice or "(empty)" for choice in get_args(base))
    return {int: "int", bool: "bool", str: "text"}[base]


def load(
    environment: Mapping[str, str],
    flags: Mapping[str, str] | None = None,
    env_file: Path | None = None,
) -> Settings:
    """The settings from flags (by setting name), the environment and a `.env` file.

    Raises SettingsError.
    """
    given = dict(_read_env_file(env_file)) if env_file is not None and env_file.exists() else {}
    given |= environment
    given |= flags or {}
    known = {row.name: row for row in TABLE}
    for name in given:
        if name.startswith("ANMEI_") and name not in known:
            raise SettingsError(f"{name}: no such setting; `python run.py settings` lists them all")
    values = {}
    for name, row in known.items():
        text = given.get(name)
        if text is None or (text == "" and get_args(row.type)[0] is not str):
            continue
        values[row.field] = _convert(row, text.strip())
    settings = Settings(**values)
    _check(settings, given)
    return settings


def _convert(row: Row, text: str) -> Any:
    try:
        return msgspec.convert(text, row.type, strict=False)
    except msgspec.ValidationError as error:
        shown = "(hidden)" if row.secret else ascii(text[:64])
        raise SettingsError(
            f"{row.name}={shown}: {error} ({type_name(row)}{' in ' + row.unit if row.unit else ''})"
        ) from None


def _check(settings: Settings, given: Mapping[str, str]) -> None:
    """What no single value shows."""
    if given.get("REDIS_URL"):
        raise SettingsError(
            "REDIS_URL: this version runs as one node with its bus in the process; unset it"
        )
    if settings.connection_timeout <= settings.heartbeat_interval:
        raise SettingsError(
            f"WS_CONNECTION_TIMEOUT={settings.connection_timeout} must be longer than "
            f"WS_HEARTBEAT_INTERVAL={settings.heartbeat_interval}, or every idle client is closed"
        )
    if settings.limit_content_bytes >= settings.limit_frame_bytes:
        raise SettingsError(
            f"ANMEI_LIMIT_CONTENT_BYTES={settings.limit_content_bytes} must be smaller than "
            f"ANMEI_LIMIT_FRAME_BYTES={settings.limit_frame_bytes}, which carries it"
        )
    for name, text in (("JWT_SECRET", settings.jwt_secret), ("ANMEI_API_KEY", settings.api_key)):
        for secret in split(text):
            if len(secret.encode()) < 32:
                raise SettingsError(
                    f"{name}: a secret of {len(secret.encode())} bytes can be guessed; "
                    "use 32 or more, for example from `openssl rand -hex 32`"
                )
    asymmetric = bool(settings.jwt_public_key or settings.jwt_jwks_url)
    if settings.jwt_public_key and settings.jwt_jwks_url:
        raise SettingsError("JWT_PUBLIC_KEY and JWT_JWKS_URL: set one of them, not both")
    if asymmetric and settings.jwt_secret:
        raise SettingsError(
            "JWT_SECRET together with JWT_PUBLIC_KEY or JWT_JWKS_URL: one server accepts one kind "
            "of token; unset one of them"
        )
    if asymmetric and settings.jwt_algorithm == "HS256":
        raise SettingsError("JWT_ALGORITHM=HS256 takes JWT_SECRET, not a public key")
    if not asymmetric and settings.jwt_algorithm not in ("", "HS256"):
        raise SettingsError(
            f"JWT_ALGORITHM={settings.jwt_algorithm} needs JWT_PUBLIC_KEY or JWT_JWKS_URL"
        )
    if settings.env == "production":
        if not (settings.jwt_secret or asymmetric):
            raise SettingsError(
                "ANMEI_ENV=production needs JWT_SECRET (for example from `openssl rand -hex 32`), "
                "JWT_PUBLIC_KEY or JWT_JWKS_URL"
            )
        if settings.demo == "on":
            raise SettingsError("ANMEI_DEMO=on lets anybody sign in: not with ANMEI_ENV=production")


def split(text: str) -> tuple[str, ...]:
    """The values of a setting that holds several, separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _read_env_file(path: Path) -> list[tuple[str, str]]:
    """`NAME=value` lines; blank lines and lines that begin with `#` are passed over."""
    pairs = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise SettingsError(f"{path}:{number}: expected NAME=value, got {ascii(line[:64])}")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        pairs.append((name.removeprefix("export ").strip(), value))
    return pairs
