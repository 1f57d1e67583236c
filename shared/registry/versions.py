"""Model versions: who owns one, registering an artifact, and finding the version that a batch will use.

A version belongs to one tenant, or to the installation (tenant `*`), which every tenant may use. Other tenants'
versions do not exist for a caller.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, case, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared.blobs.store import BlobStore
from shared.clock import now
from shared.contract.states import ModelStatus
from shared.errors import GonogoError
from shared.ids import new_id
from shared.registry import activations
from shared.registry.activations import INSTALLATION
from shared.registry.artifact import Artifact, read_artifact
from shared.store.engine import Database, clock
from shared.store.records import ModelRecord
from shared.store.tables import ModelActivation, ModelVersion

ID_PREFIX = "mdl_"
_LONGEST_NAME = 100
_VERSIONS = ModelVersion.__table__
# Built once, since building a statement costs more than running it; without the card, which is long.
_POINT = select(
    ModelVersion.id,
    ModelVersion.name,
    ModelVersion.threshold,
    ModelVersion.review_low,
    ModelVersion.review_high,
    ModelVersion.status,
    ModelVersion.guarded,
    ModelVersion.promised,
)
_BY_ID = _POINT.where(
    ModelVersion.id == bindparam("wanted"), ModelVersion.tenant.in_((bindparam("of_tenant"), INSTALLATION))
)
# The tenant's own activation comes before the installation's, the newest first.
_ACTIVE = (
    _POINT.join(ModelActivation, ModelActivation.model_id == ModelVersion.id)
    .where(ModelActivation.tenant.in_((bindparam("of_tenant"), INSTALLATION)))
    .order_by(case((ModelActivation.tenant == INSTALLATION, 1), else_=0), ModelActivation.id.desc())
    .limit(1)
)
_ACTIVE_OF_NAME = _ACTIVE.where(ModelVersion.name == bindparam("wanted"))


class ModelPoint(NamedTuple):
    """A version and its own operating point."""

    id: str
    name: str
    threshold: float
    review_low: float
    review_high: float
    status: str
    guarded: bool
    promised: float | None


class UnknownModel(GonogoError):
    """No version that the caller may use has this id, or none is active under this name."""

    code = "unknown_model"


class ModelNotReady(GonogoError):
    """The version is still to be loaded by trial, or its trial failed."""

    code = "model_not_ready"


class InvalidModelName(GonogoError):
    """The name in an artifact is empty, too long, unprintable, or looks like an id."""

    code = "invalid_model_name"


def register(
    database: Database,
    store: BlobStore,
    artifact: Artifact,
    *,
    tenant: str = INSTALLATION,
    status: ModelStatus = ModelStatus.READY,
    also: Callable[[Connection, str], object] | None = None,
) -> str:
    """Keep an artifact and its row; the same bytes twice are one version of a tenant. Returns the id.

    A version that was refused is tried again. `also` is called with the id, in the same transaction. Raises
    InvalidModelName.
    """
    check_name(artifact.name)
    path = store.artifact_path(artifact.sha256)
    if not store.holds(path, artifact.path):
        store.put_file(artifact.path, path)
    try:
        with database.write() as connection:
            known = _known(connection, tenant, artifact)
            identifier = known or _insert(connection, tenant, artifact, status)
            if known is not None:
                connection.execute(
                    update(ModelVersion)
                    .where(ModelVersion.id == known, ModelVersion.status == ModelStatus.REFUSED)
                    .values(status=status, reason=None, trials=0, trial_due_at=clock())
                )
            if also is not None:
                also(connection, identifier)
            return identifier
    except IntegrityError:  # another process registered the same bytes between the look and the insert
        return register(database, store, artifact, tenant=tenant, status=status, also=also)


def check_name(name: str) -> None:
    """Raise InvalidModelName unless a version may have this name; none may be taken for an id or the installation."""
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise InvalidModelName(
            f"a model's name has 1 to {_LONGEST_NAME} printable characters, not {name[:120]!r}"
        )
    if name == INSTALLATION:
        raise InvalidModelName(f"a model's name must not be {INSTALLATION}, which is the installation")
    if name.startswith(ID_PREFIX):
        raise InvalidModelName(f"a model's name must not begin with {ID_PREFIX}: it would be taken for an id")


def _known(connection: Connection, tenant: str, artifact: Artifact) -> str | None:
    owned = (ModelVersion.tenant == tenant, ModelVersion.sha256 == artifact.sha256)
    return connection.scalar(select(ModelVersion.id).where(*owned))


def _insert(connection: Connection, tenant: str, artifact: Artifact, status: ModelStatus) -> str:
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
            tenant=tenant,
            status=status,
            trials=0,
            trial_due_at=clock(),
            guarded=artifact.guarded,
            promised=artifact.promise.max_escape_rate if artifact.promise else None,
        )
    )
    return identifier


def register_shipped(database: Database, store: BlobStore) -> None:
    """Register the models that come with the product; the first of them is active in a new installation.

    They are ready at once: the tests load each of them by the same trial.
    """
    # rendered-parts sorts first on purpose: it is what the demo draws, so a new installation can be tried.
    for path in shipped():
        identifier = register(database, store, read_artifact(path))
        with database.write() as connection:
            if activations.active_id(connection, INSTALLATION) is None:
                activations.activate(connection, identifier)


def shipped() -> list[Path]:
    """The artifacts that come with the product, in order."""
    return sorted((Path(__file__).parent / "published").glob("*/*.gonogo"))


def find(connection: Connection, wanted: str | None, tenant: str = INSTALLATION) -> ModelPoint:
    """The version that a new batch of the tenant uses: by id; or active under this name; or, for None, the active one.

    The tenant's own activation comes before the installation's. Raises UnknownModel, or ModelNotReady.
    """
    if wanted is None:
        row = connection.execute(_ACTIVE, {"of_tenant": tenant}).first()
    elif wanted.startswith(ID_PREFIX):
        row = connection.execute(_BY_ID, {"wanted": wanted, "of_tenant": tenant}).first()
    else:
        row = connection.execute(_ACTIVE_OF_NAME, {"wanted": wanted, "of_tenant": tenant}).first()
    if row is None:
        if wanted is None:
            raise UnknownModel("no model is active")
        raise UnknownModel(f"no model {wanted!r} is there or active", pointer="/options/model")
    found = ModelPoint._make(row)
    if found.status != ModelStatus.READY:
        raise ModelNotReady(f"model {found.id} is {found.status}: only a ready one can be used")
    return found


def _usable_by(tenant: str) -> ColumnElement[bool]:
    return ModelVersion.tenant.in_((tenant, INSTALLATION))


def listing(connection: Connection, tenant: str = INSTALLATION) -> list[ModelRecord]:
    """The versions that a tenant may use, newest first."""
    query = select(_VERSIONS).where(_usable_by(tenant)).order_by(ModelVersion.id.desc())
    return [ModelRecord._make(row) for row in connection.execute(query)]


def get(connection: Connection, model_id: str, tenant: str = INSTALLATION) -> ModelRecord | None:
    """The version with this id, or None where there is none that the tenant may use."""
    row = connection.execute(select(_VERSIONS).where(ModelVersion.id == model_id, _usable_by(tenant))).first()
    return None if row is None else ModelRecord._make(row)
