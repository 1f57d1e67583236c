"""Reviewed images as training data: of a running service, or of a zip that `gonogo review export` wrote."""

import csv
import shutil
import zipfile
from pathlib import Path

from shared.client.client import Client
from shared.contract.csv_cells import defused
from training.data.load import listing
from training.data.records import DataError, Record, Source
from training.data.report import report_of
from training.progress import Say

_COLUMNS = ("file", "label", "group", "split", "kind", "mask")
_TABLE = "images.csv"


def gather(where: str, folder: Path, *, key: str | None, besides: Source | None, say: Say = print) -> Source:
    """The reviewed images, unpacked into `folder`, together with those of another source; raises DataError.

    `where` is the URL of a service or the path of a zip. A part that both name is one group. The images of the other
    source that are left out are said, since the table of both does not name them.
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
    reviewed, others = listing(Source(folder)).records, listing(besides)
    for line in report_of(others, besides).left_out():
        say(line)
    table = folder / "together.csv"
    _write(table, [*others.records, *reviewed])
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
