"""Model versions whose artifact the store lacks, or holds damaged."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from shared.store.tables import ModelVersion
from worker.upkeep.site import Site

NAME = "artifacts"
ABOUT = "model versions whose artifact is missing or damaged: upload or restore it; their batches wait"


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        known = connection.scalars(select(ModelVersion.sha256)).all()
    return [sha256 for sha256 in known if _digest(site.blobs.artifact_path(sha256)) != sha256][:most]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
