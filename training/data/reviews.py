"""Reviewed images as training data: of a running service, or of a zip that `gonogo review export` wrote."""

import csv
import shutil
import zipfile
from pathlib import Path

from shared.client.client import Client
from shared.contract.csv_cells import defused
from training.data.load import listing
from training.data.records import DataError, Record, Source

_COLUMNS = ("file", "label", "group", "split", "kind", "mask")
_TABLE = "images.csv"


def gather(where: str, folder: Path, *, key: str | None, besides: Source | None) -> Source:
    """The reviewed images, unpacked into `folder`, together with those of another source; raises DataError.

    `where` is the URL of a service or the path of a zip. A part that both name is one group.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = Path(where)
    if where.startswith(("http://", "https://")):
        archive = folder / "reviews.zip"
        with Client(where, key) as client, client.review_export() as blocks, archive.open("wb") as file:
            file.writelines(blocks)
    try:
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} is no zip of reviewed images: {error}") from error
    if besides is None:
        return Source(folder)
    reviewed = listing(Source(folder)).records
    table = folder / "together.csv"
    _write(table, [*listing(besides).records, *reviewed])
    return Source(table)


def _write(table: Path, records: list[Record]) -> None:
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for record in records:
            label = "defect" if record.label else "no_defect"
            mask = record.mask.resolve() if record.mask else ""
            cells = (
                record.path.resolve(),
                label,
                defused(record.group),
                record.split or "",
                record.kind,
                mask,
            )
            writer.writerow(cells)
