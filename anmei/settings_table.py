"""The settings as a table: what the command line, the documents and the messages speak of."""

from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from anmei.settings import Settings


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
