"""The solar cells of the package `elpv-dataset` as a folder like any other: 2,624 images, 300 x 300, grey.

The images carry the probability of a defect that experts gave: 0, 1/3, 2/3 or 1. From one half on it counts as
a defect. No module is named, so no group is either. Licence CC BY-NC-SA 4.0: to measure with, not to ship.
"""

import csv
import importlib.util
import shutil
from pathlib import Path

from training.data.records import DataError

PACKAGE = "elpv_dataset"
DEFECT_FROM = 0.5


def write_elpv(folder: Path, *, source: Path | None = None) -> Path:
    """Copy the set to folder/defect and folder/no_defect with an images.csv, and return the folder.

    `source` is the package's data folder; None finds the installed package, without running its code. A folder
    that is complete already stays as it is. Raises DataError where the package isn't installed.
    """
    table = folder / "images.csv"
    if table.is_file():
        return folder
    source = source or _installed()
    rows = []
    for line in (source / "labels.csv").read_text().splitlines():
        if not line.strip():
            continue
        name, probability, kind = line.split()
        label = "defect" if float(probability) >= DEFECT_FROM else "no_defect"
        target = folder / label / Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
        rows.append((f"{label}/{target.name}", label, probability, kind))
    partial = table.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "label", "probability", "cell_type"))
        writer.writerows(rows)
    partial.replace(table)  # last: a folder with a table is whole
    return folder


def _installed() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DataError("the package elpv-dataset is not installed: pip install elpv-dataset")
    return Path(found.submodule_search_locations[0]) / "data"
