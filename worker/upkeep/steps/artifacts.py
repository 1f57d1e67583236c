"""Model versions whose artifact the store lacks."""

from collections.abc import Sequence

from sqlalchemy import select

from shared.store.tables import ModelVersion
from worker.upkeep.site import Site

NAME = "artifacts"
ABOUT = "model versions whose artifact the store lacks: upload or restore it; their batches wait"


def find(site: Site, most: int) -> Sequence[str]:
    with site.database.read() as connection:
        known = connection.scalars(select(ModelVersion.sha256)).all()
    return [sha256 for sha256 in known if not site.blobs.artifact_path(sha256).exists()][:most]
