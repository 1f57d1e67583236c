"""Model versions whose artifact the store lacks, or holds damaged."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from shared.registry.artifact import file_sha256
from shared.store.tables import ModelVersion
from worker.upkeep.site import Site

NAME = "artifacts"
ABOUT = "model versions whose artifact is missing or damaged: upload or restore it; their batches wait"


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        known = connection.scalars(select(ModelVersion.sha256)).all()
    return [sha256 for sha256 in known if not _is_whole(site.blobs.artifact_path(sha256), sha256)][:most]


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        return file_sha256(path) == sha256
    except FileNotFoundError:
        return False
