"""Writes the table of docs/settings.md from anmei/settings.py; with --check it only compares."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from anmei.settings_table import TABLE, Row, type_name  # noqa: E402

PAGE = ROOT / "docs" / "settings.md"
BEGIN, END = "<!-- the table: scripts/settings_table.py -->", "<!-- the end of the table -->"


def line(row: Row) -> str:
    # By type: as keys of a table, 0 and False would be the same.
    default = str(row.default).lower() if isinstance(row.default, bool) else str(row.default)
    cells = (
        f"`{row.name}`",
        type_name(row).replace("|", "or"),
        f"`{default}`" if default else "(empty)",
        row.unit,
        row.doc,
    )
    return "| " + " | ".join(cells) + " |"


def with_table(page: str) -> str:
    """`page` with the table between the markers as it should be."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE.name}: expected the markers {BEGIN} and {END}")
    head = "| setting | type | default | unit | meaning |\n|---|---|---|---|---|"
    table = "\n".join([head, *map(line, TABLE)])
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def main(arguments: list[str]) -> int:
    page = PAGE.read_text()
    wanted = with_table(page)
    if arguments == ["--check"]:
        if page != wanted:
            sys.stderr.write(
                "docs/settings.md is out of date: run python scripts/settings_table.py\n"
            )
        return int(page != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
