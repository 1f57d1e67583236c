"""Rows of the result table: what was measured, against what, and whether it is as good as it must be."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A figure. `reach` is meant for `ratio` where there is one, else for `value`."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    ceiling: float | None = None  # the most that `ratio` could be; a reach above it is void
    reach: float | None = None
    at_most: bool = False  # the reach is an upper bound
    note: str = ""

    @property
    def meets(self) -> bool | None:
        """None where nothing is asked, or where more is asked than is possible."""
        if self.reach is None or self.is_void:
            return None
        measured = self.value if self.ratio is None else self.ratio
        return measured <= self.reach if self.at_most else measured >= self.reach

    @property
    def is_void(self) -> bool:
        return self.reach is not None and self.ceiling is not None and self.reach > self.ceiling


def as_text(rows: Sequence[Row]) -> str:
    """The table as GitHub Markdown."""
    lines = ["| what | measured | ratio | ceiling | reach | meets |", "|---|---|---|---|---|---|"]
    for row in rows:
        reach = "" if row.reach is None else f"{'≤' if row.at_most else '≥'} {_figure(row.reach)}"
        verdict = "void" if row.is_void else {None: "stated", True: "yes", False: "no"}[row.meets]
        name = f"{row.name} ({row.note})" if row.note else row.name
        cells = [
            name,
            f"{_figure(row.value)} {row.unit}",
            _figure(row.ratio),
            _figure(row.ceiling),
            reach,
            verdict,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def save(rows: Sequence[Row], path: Path) -> None:
    """Write {name: {value, unit, ratio, ceiling, reach, meets, note}}; rows measured at other times stay."""
    known = json.loads(path.read_text()) if path.exists() else {}
    for row in rows:
        known[row.name] = {
            "value": _number(row.value),
            "unit": row.unit,
            "ratio": _number(row.ratio),
            "ceiling": _number(row.ceiling),
            "reach": row.reach,
            "at_most": row.at_most,
            "meets": row.meets,
            "note": row.note,
        }
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> list[Row]:
    """The rows that `save` wrote."""
    known = json.loads(path.read_text())
    return [
        Row(name, **{key: entry[key] for key in entry if key != "meets"}) for name, entry in known.items()
    ]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
