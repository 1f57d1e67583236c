"""The labelled images of a folder or of a table, before anything looks into them.

docs/training.md lists the layouts. A group must stay on one side of a split: one part, or near-identical images.
"""

import re
from dataclasses import replace
from pathlib import Path

from training.data import folders, tables
from training.data.records import (
    DataError,
    Listing,
    Record,
    Source,
    name_of,
    nearly_all_named,
    root_of,
    source_of,
)


def load(source: Path | Source) -> list[Record]:
    """The records of a folder or of a CSV file; raises DataError where no layout fits."""
    return listing(source).records


def listing(source: Path | Source) -> Listing:
    """The records of a source and the images that no label reaches; raises DataError where there are none."""
    source = source_of(source)
    table = source.path if source.path.is_file() else tables.table_in(source.path)
    if table is None and not source.path.is_dir():
        raise DataError(f"there is no folder {source.path}")
    found = folders.listed(source) if table is None else tables.listed(table, source)
    if source.part is not None:
        named = [_with_part(record, root_of(source.path), source.part) for record in found.records]
        if not any(record.group for record in named):
            example = name_of(named[0].path, root_of(source.path))
            raise DataError(f"--part {source.part!r} finds no part in any path, such as {example}")
        found.records = named
        found.has_groups, found.views_tell = nearly_all_named(named), False
    return found


def _with_part(record: Record, root: Path, pattern: str) -> Record:
    try:
        found = re.search(pattern, name_of(record.path, root))
        part = found and (found.group(1) if found.re.groups else found.group())
    except re.error as error:
        raise DataError(f"--part {pattern!r} is no regular expression: {error}") from error
    return replace(record, group=part) if part else record
