"""Templates of messages: kept by tenant and name, replaced as a whole."""

from typing import Any

import ujson
from peewee import Database

from anmei.clock import to_wire
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import id_of, make_key, tenant_of
from anmei.templates import Template, placeholders
from db.cursors import from_cursor, to_cursor
from db.link import Row, execute, fetch, fetch_many
from db.pages import byte_length, fitting
from db.snapshot import snapshot

#: Of one tenant.
MAX_TEMPLATES = 1_000

_COLUMNS = "key, texts, default_language, created_at, updated_at"


def template(database: Database, key: str) -> Template | None:
    """The template, for rendering."""
    rows = fetch(database, f"SELECT {_COLUMNS} FROM templates WHERE key = %s", (key,))
    return Template(ujson.loads(rows[0][1]), rows[0][2]) if rows else None


def shown_template(database: Database, key: str) -> dict[str, Any] | None:
    """The template as the API shows it; None where there is none."""
    rows = fetch(database, f"SELECT {_COLUMNS} FROM templates WHERE key = %s", (key,))
    return _shown(rows[0]) if rows else None


def templates(
    database: Database, tenant: str, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the tenant's templates by name, and the cursor of the next page: at most `limit`,
    and fewer where they are long."""
    after = "" if cursor is None else str(from_cursor(cursor, tuple[str])[0])
    size = byte_length(database, "texts")
    with snapshot(database):
        found = fetch(
            database,
            # `0` follows `/`, which ends the tenant in a key.
            f"SELECT key, {size} FROM templates WHERE key > %s AND key < %s ORDER BY key LIMIT %s",
            (make_key(tenant, after), f"{tenant}0", limit + 1),
        )
        keys = [key for key, _ in found[: fitting(size for _, size in found[:limit])]]
        rows = fetch_many(
            database,
            f"SELECT {_COLUMNS} FROM templates WHERE key IN ({{values}}) ORDER BY key",
            keys,
        )
    page = [_shown(row) for row in rows]
    return page, to_cursor(page[-1]["name"]) if len(found) > len(keys) else None


def save_template(
    database: Database, key: str, template: Template, known: str | None, at: int
) -> tuple[bool, dict[str, Any]]:
    """Make or replace it at the time `at`; whether it is new, and what it is now. With `known`, the
    time of the version that is to be replaced, any other one is a conflict."""
    old = fetch(database, "SELECT updated_at FROM templates WHERE key = %s", (key,))
    # Its own time is that of this very attempt, whose answer was lost.
    if known is not None and [to_wire(row[0]) for row in old] not in ([known], [to_wire(at)]):
        raise AnmeiError(
            ErrorCode.CONFLICT, "updated_at: the template was changed or removed since"
        )
    if not old:
        tenant = tenant_of(key)
        ((count,),) = fetch(
            database,
            "SELECT count(*) FROM templates WHERE key > %s AND key < %s",
            (make_key(tenant, ""), f"{tenant}0"),
        )
        if count >= MAX_TEMPLATES:
            raise AnmeiError(
                ErrorCode.TOO_LARGE, f"at most {MAX_TEMPLATES} templates of a tenant are allowed"
            )
    # Later than the version before, by whatever clock that was written.
    at = max(at, old[0][0] + 1) if old and old[0][0] != at else at
    texts = ujson.dumps(template.texts, ensure_ascii=False, escape_forward_slashes=False)
    execute(
        database,
        f"INSERT INTO templates ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (key)"
        " DO UPDATE SET texts = excluded.texts, default_language = excluded.default_language,"
        " updated_at = excluded.updated_at",
        (key, texts, template.default_language, at, at),
    )
    saved = shown_template(database, key)
    assert saved is not None
    return not old, saved


def delete_template(database: Database, key: str) -> bool:
    """Remove it; whether there was one."""
    return bool(execute(database, "DELETE FROM templates WHERE key = %s", (key,)).rowcount)


def _shown(row: Row) -> dict[str, Any]:
    key, texts, default_language, created_at, updated_at = row
    texts = ujson.loads(texts)
    names = {name: None for text in texts.values() for name in placeholders(text)}
    return {
        "name": id_of(key),
        "texts": texts,
        "default_language": default_language,
        "placeholders": list(names),
        "created_at": to_wire(created_at),
        "updated_at": to_wire(updated_at),
    }
