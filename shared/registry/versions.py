"""Model versions: registering an artifact, which one is active, and finding one by id or name."""

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, or_, select
from sqlalchemy.exc import IntegrityError

from shared.blobs.store import BlobStore
from shared.clock import now
from shared.errors import GonogoError
from shared.ids import new_id
from shared.registry.artifact import Artifact, read_artifact
from shared.store.engine import Database
from shared.store.records import ModelRecord
from shared.store.tables import ModelActivation, ModelVersion

_VERSIONS = ModelVersion.__table__
# Built once, since building one costs more than running it; without the card, which is long.
_POINT = (
    select(
        ModelVersion.id,
        ModelVersion.name,
        ModelVersion.threshold,
        ModelVersion.review_low,
        ModelVersion.review_high,
    )
    .order_by(ModelVersion.id.desc())
    .limit(1)
)
_ACTIVE = select(ModelActivation.model_id).order_by(ModelActivation.id.desc()).limit(1)
_ACTIVE_POINT = _POINT.where(ModelVersion.id == _ACTIVE.scalar_subquery())
_NAMED_POINT = _POINT.where(
    or_(ModelVersion.id == bindparam("wanted"), ModelVersion.name == bindparam("wanted"))
)


class ModelPoint(NamedTuple):
    """A version and its own operating point."""

    id: str
    name: str
    threshold: float
    review_low: float
    review_high: float


class UnknownModel(GonogoError):
    code = "unknown_model"


def register(database: Database, store: BlobStore, artifact: Artifact) -> str:
    """Keep an artifact and its row; the same bytes twice are one version. Returns the id."""
    path = store.artifact_path(artifact.sha256)
    if not path.is_file():
        store.put_file(artifact.path, path)
    try:
        with database.write() as connection:
            return _known(connection, artifact) or _insert(connection, artifact)
    except IntegrityError:  # somebody registered the same bytes between our look and our insert
        with database.read() as connection:
            return str(_known(connection, artifact))


def _known(connection: Connection, artifact: Artifact) -> str | None:
    return connection.scalar(select(ModelVersion.id).where(ModelVersion.sha256 == artifact.sha256))


def _insert(connection: Connection, artifact: Artifact) -> str:
    identifier, point = new_id("mdl"), artifact.operating_point
    connection.execute(
        insert(ModelVersion).values(
            id=identifier,
            name=artifact.name,
            sha256=artifact.sha256,
            threshold=point.threshold,
            review_low=point.review_low,
            review_high=point.review_high,
            card=artifact.card,
            created_at=now(),
        )
    )
    return identifier


def register_shipped(database: Database, store: BlobStore) -> None:
    """Register the models that come with the product; the first of them is active in a new installation."""
    folder = Path(__file__).parent / "published"
    # rendered-parts sorts first on purpose: it is what the demo draws, so a new installation can be tried.
    for path in sorted(folder.glob("*/*.gonogo")):
        identifier = register(database, store, read_artifact(path))
        with database.write() as connection:
            if active_id(connection) is None:
                activate(connection, identifier)


def active_id(connection: Connection) -> str | None:
    """The version that new batches use, or None where none was ever activated."""
    return connection.scalar(_ACTIVE)


def activate(connection: Connection, model_id: str) -> None:
    """Let new batches use this version; batches that run keep theirs."""
    connection.execute(insert(ModelActivation).values(model_id=model_id, at=now()))


def previous_id(connection: Connection) -> str | None:
    """The version that was active before the active one."""
    active = active_id(connection)
    return connection.scalar(
        select(ModelActivation.model_id)
        .where(ModelActivation.model_id != active)
        .order_by(ModelActivation.id.desc())
        .limit(1)
    )


def find(connection: Connection, wanted: str | None) -> ModelPoint:
    """Id, name and operating point of a version by id, by name (the newest of that name), or of the active one for
    None; raises UnknownModel."""
    query = _ACTIVE_POINT if wanted is None else _NAMED_POINT
    row = connection.execute(query, {"wanted": wanted}).first()
    if row is None:
        raise UnknownModel("no model is active" if wanted is None else f"no model {wanted!r}")
    return ModelPoint._make(row)


def listing(connection: Connection) -> list[ModelRecord]:
    """Every version, newest first."""
    query = select(_VERSIONS).order_by(ModelVersion.id.desc())
    return [ModelRecord._make(row) for row in connection.execute(query)]


def get(connection: Connection, model_id: str) -> ModelRecord | None:
    """The version with this id, or None."""
    row = connection.execute(select(_VERSIONS).where(ModelVersion.id == model_id)).first()
    return None if row is None else ModelRecord._make(row)
