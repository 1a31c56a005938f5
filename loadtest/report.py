"""What comes out of a run: a table on the terminal, a JSON file and a PNG chart."""

import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"

Row = dict[str, Any]


@dataclass
class Report:
    """The rows of one scenario. All rows have the same keys, and `columns` are those to print."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    #: Key of a row → heading, with its unit.
    columns: dict[str, str] = field(default_factory=dict)
    #: The key whose values are drawn, and the keys that name a bar.
    value: str = ""
    labels: tuple[str, ...] = ("server",)
    #: What the rows were made from, for the JSON file.
    details: list[Row] = field(default_factory=list)
    #: Where the files go.
    folder: Path = RESULTS
    #: False where something that was required did not hold.
    passed: bool = True

    def write(self) -> None:
        """Print the table and write the files."""
        print(f"\n{self.title}\n\n{self.table()}\n")
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = self.folder / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        content = {"title": self.title, "machine": machine(), "rows": self.rows}
        if self.details:
            content["details"] = self.details
        stem.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
        written = [stem.with_suffix(".json").name]
        if self.value and self._draw(stem.with_suffix(".png")):
            written.append(stem.with_suffix(".png").name)
        print(f"written to {self.folder}: {', '.join(written)}")

    def table(self) -> str:
        """The rows as a Markdown table, padded to be read as it is."""
        lines = [list(self.columns.values())]
        lines += [[_cell(row.get(key)) for key in self.columns] for row in self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join(
            "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
            for line in lines
        )

    def _draw(self, path: Path) -> bool:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            print("no chart: matplotlib is missing (loadtest/requirements.txt)")
            return False
        rows = [row for row in self.rows if row.get(self.value) is not None]
        names = [", ".join(_cell(row[label]) for label in self.labels) for row in rows]
        figure = Figure(figsize=(9, 1.2 + 0.45 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        colours = ["#1f6f8b" if "Anmei" in name else "#b8b8b8" for name in names]
        bars = axes.barh(range(len(rows)), [row[self.value] for row in rows], color=colours)
        axes.bar_label(bars, [_cell(row[self.value]) for row in rows], padding=3)
        axes.set_yticks(range(len(rows)), names)
        axes.invert_yaxis()
        axes.set_xlabel(self.columns.get(self.value, self.value))
        axes.set_title(self.title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=120)
        return True


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
