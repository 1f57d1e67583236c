"""The labelled images of a folder or of a table, before anything looks into them.

Known layouts: `defect/` and `no_defect/` (also `Positive`/`Negative`, `def_front`/`ok_front`) anywhere below the
folder, with or without `train/` and `test/` above them; or a CSV with the columns file, label and, where known,
group, split and sha256. A group must stay on one side of a split: one part, or near-identical images.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from shared.errors import GonogoError

_DEFECT = {"defect", "defects", "defective", "positive", "def_front", "bad", "ng", "nok"}
_GOOD = {"no_defect", "no-defect", "ok", "good", "negative", "ok_front", "normal"}
# In a table these are labels too; a folder of that name only where no word above it says more.
_NUMBERS = {"1": 1, "true": 1, "0": 0, "false": 0}
_SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
           "validation": "validation", "test": "test", "testing": "test"}  # fmt: skip
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


class DataError(GonogoError):
    """The folder can't be trained on; the sentence says why."""

    code = "unusable_data"


@dataclass(frozen=True)
class Record:
    """A labelled image; label 1 is a defect. `check` sets `identity` to the sha256 of the bytes; until then it is
    the hash that the table claims, or empty."""

    path: Path
    label: int
    group: str
    split: str | None = None
    identity: str = ""


def load(folder: Path) -> list[Record]:
    """The records of a folder or of a CSV file; raises DataError where neither layout fits."""
    if folder.is_file():
        return _from_csv(folder, folder.parent)
    table = folder / "images.csv"
    if table.is_file():
        return _from_csv(table, folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    records = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        above = [part.lower() for part in path.relative_to(folder).parts[:-1]]
        label = next((found for part in reversed(above) if (found := _label(part)) is not None), None)
        if label is None:
            label = next((_NUMBERS[part] for part in reversed(above) if part in _NUMBERS), None)
        if label is not None:
            split = next((_SPLITS[part] for part in above if part in _SPLITS), None)
            records.append(Record(path, label, "", split))
    if not records:
        raise DataError(f"{folder} holds no images below defect/ and no_defect/ (or Positive/, Negative/, …)")
    return records


def _label(text: str) -> int | None:
    word = text.strip().lower()
    return 1 if word in _DEFECT else 0 if word in _GOOD else None


def _from_csv(table: Path, folder: Path) -> list[Record]:
    records = []
    with table.open(newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            word = (row.get("label") or "").strip().lower()
            label = _NUMBERS.get(word, _label(word))
            if not row.get("file") or label is None:
                raise DataError(
                    f"{table.name}, line {line}: needs a file and a label such as defect or no_defect"
                )
            group, split = (row.get("group") or "").strip(), (row.get("split") or "").strip().lower()
            claimed = (row.get("sha256") or "").strip().lower()
            records.append(Record(folder / row["file"], label, group, _SPLITS.get(split), claimed))
    if not records:
        raise DataError(f"{table} lists no images")
    return records
