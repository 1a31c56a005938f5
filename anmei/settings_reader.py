"""Settings as the operator gave them: flags, then the environment, then `.env`.

A value that does not fit, or an `ANMEI_…` name that is not in the table, stops the start with a
sentence that names it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from anmei.settings import Settings, SettingsError, split
from anmei.settings_table import TABLE, Row, type_name

DATABASES = ("postgresql://", "postgres://", "sqlite:///")

_ORIGIN = re.compile(r"https?://[^/?#\s]+\Z")


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
    problems = [
        f"{name}: no such setting; `run.py settings` lists them all"
        for name in given
        if name.startswith("ANMEI_") and name not in known
    ]
    values = {}
    for name, row in known.items():
        text = given.get(name)
        if text is None or (text == "" and get_args(row.type)[0] is not str):
            continue
        try:
            values[row.field] = _convert(row, text.strip())
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("\nanmei: ".join(problems))
    settings = Settings(**values)
    _check(settings)
    return settings


def _convert(row: Row, text: str) -> Any:
    try:
        return msgspec.convert(text, row.type, strict=False)
    except msgspec.ValidationError:
        shown = "(hidden)" if row.secret else ascii(text[:64])
        raise SettingsError(f"{row.name}={shown}: expected {_expected(row)}") from None


def _expected(row: Row) -> str:
    """What a setting may be, in words."""
    base, *_, meta = get_args(row.type)
    if base is bool:
        return "true or false"
    if base is str and meta.pattern is not None:
        pattern: str = meta.pattern
        return "text that matches " + pattern.removesuffix(r"(?!\n)")
    if base is not int:
        return type_name(row)
    low, high = meta.ge, meta.le
    if low is not None and high is not None:
        limits = f" from {low} to {high}"
    else:
        limits = f" of at least {low}" if low is not None else ""
    return f"a whole number{limits}" + (f" ({row.unit})" if row.unit else "")


def _check(settings: Settings) -> None:
    """What no single value shows."""
    if settings.workers > 1 and not settings.redis_url:
        raise SettingsError(
            f"ANMEI_WORKERS={settings.workers}: several processes need REDIS_URL to hear of each "
            "other's messages; set it, or run one"
        )
    if settings.worker_port and settings.worker_port + settings.workers - 1 > 65_535:
        raise SettingsError(
            f"ANMEI_WORKER_PORT={settings.worker_port}: with {settings.workers} workers the last "
            "one would be beyond port 65535"
        )
    if settings.database_url and not settings.database_url.startswith(DATABASES):
        raise SettingsError(
            "DATABASE_URL: expected postgresql://… or sqlite:///file, got "
            + ascii(settings.database_url.partition(":")[0][:32])
        )
    for origin in split(settings.allowed_origins):
        if origin != "*" and not _ORIGIN.match(origin):
            raise SettingsError(
                f"ANMEI_ALLOWED_ORIGINS: {ascii(origin[:64])} is no origin; expected a scheme and "
                "a host as in https://chat.example.org, without a path"
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
    for name, text in (
        ("JWT_SECRET", settings.jwt_secret),
        ("ANMEI_API_KEY", settings.api_key),
        ("ANMEI_SECRET", settings.secret),
    ):
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
    if settings.redis_url and asymmetric and not settings.secret:
        raise SettingsError(
            "REDIS_URL together with JWT_PUBLIC_KEY or JWT_JWKS_URL needs ANMEI_SECRET, with which "
            "nodes sign what they tell each other (for example from `openssl rand -hex 32`)"
        )
    if settings.env == "production":
        if not (settings.jwt_secret or asymmetric):
            raise SettingsError(
                "ANMEI_ENV=production needs JWT_SECRET (for example from `openssl rand -hex 32`), "
                "JWT_PUBLIC_KEY or JWT_JWKS_URL"
            )
        if settings.demo == "on":
            raise SettingsError("ANMEI_DEMO=on lets anybody sign in: not with ANMEI_ENV=production")


def _read_env_file(path: Path) -> list[tuple[str, str]]:
    """`NAME=value` lines; blank lines and lines that begin with `#` are passed over."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: expected text in UTF-8") from None
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            # Not what it is: it may be the second line of a secret.
            raise SettingsError(f"{path}:{number}: expected NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        pairs.append((name.removeprefix("export ").strip(), value))
    return pairs
