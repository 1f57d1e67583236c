"""The demo's verdicts against the known truth."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from shared.cli.output import print_table

if TYPE_CHECKING:
    from shared.contract.items import ItemPayload

_WORST = 10


def read(images: Path) -> dict[str, str]:
    """Filename → kind of its defect, or "" for a good part."""
    with (images / "images.csv").open(newline="") as file:
        return {
            Path(row["file"]).name: (row["kind"] or "defect") if row["label"] == "defect" else ""
            for row in csv.DictReader(file)
        }


def compare(items: list[ItemPayload], truth: dict[str, str]) -> None:
    """Print the items that are worst by score, and the rates of escapes, false rejects and reviews."""
    known = [(item, truth[Path(item["filename"]).name]) for item in items]
    print("worst parts first")
    rows = [
        (f"{item['score']:.3f}" if item["score"] is not None else "-", item["filename"], item["verdict"],
         kind or "good part")
        for item, kind in known[:_WORST]
    ]  # fmt: skip
    print_table(["score", "file", "verdict", "truth"], rows)
    bad = [item["verdict"] for item, kind in known if kind]
    good = [item["verdict"] for item, kind in known if not kind]
    print()
    print(f"escapes        {_share(bad.count('no_defect'), len(bad))} of the defects were let through")
    print(f"false rejects  {_share(good.count('defect'), len(good))} of the good parts were refused")
    review = bad.count("review") + good.count("review")
    print(f"review         {_share(review, len(known))} of all parts are left to a person")
    kinds = sorted({kind for _, kind in known if kind})
    missed = {kind: [item["verdict"] for item, this in known if this == kind] for kind in kinds}
    print_table(
        ["", "kind", "parts", "let through"],
        [("", kind, len(found), found.count("no_defect")) for kind, found in missed.items()],
    )


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.1%})" if total else "0 of 0"
