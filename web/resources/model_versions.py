"""Model versions of a tenant: list, find, and make one the active one. The API and the pages share these functions."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from shared.access import audit
from shared.access.audit import Actor
from shared.contract.audit import Action
from shared.contract.events import MODEL_ACTIVATED
from shared.contract.model_versions import ModelPayload, model_payload
from shared.contract.states import ModelStatus
from shared.json_text import Card
from shared.registry import activations, versions
from shared.registry.activations import INSTALLATION
from shared.registry.artifact import read_artifact
from shared.store.engine import database_time
from shared.store.records import ModelRecord
from shared.webhooks import owed, receivers
from web.http.problems import HttpProblem, not_found
from web.service import Service


def listing(here: Service, tenant: str, base: str) -> list[ModelPayload]:
    """The versions that a tenant may use, the newest first."""
    with here.database.read() as connection:
        return _shown(connection, tenant, versions.listing(connection, tenant), base)


def shown(here: Service, tenant: str, model_id: str, base: str) -> ModelPayload:
    """A version as the contract shows it; raises 404."""
    with here.database.read() as connection:
        return _shown(connection, tenant, [existing(connection, tenant, model_id)], base)[0]


def card(here: Service, tenant: str, model_id: str) -> Card:
    """The card of a version; raises 404."""
    with here.database.read() as connection:
        return existing(connection, tenant, model_id).card


def activate(here: Service, tenant: str, model_id: str, actor: Actor) -> None:
    """Make a version the active one; raises 404, or 409 where it cannot be used."""
    _switch(here, tenant, model_id, actor, activations.activate, "model.activate")


def roll_back(here: Service, tenant: str, model_id: str, actor: Actor) -> None:
    """Make a version the active one again; raises 404, or 409 where it was not active before, or is now."""
    _switch(here, tenant, model_id, actor, activations.roll_back, "model.rollback")


def _switch(
    here: Service,
    tenant: str,
    model_id: str,
    actor: Actor,
    switch: Callable[[Connection, str, str], bool],
    action: Action,
) -> None:
    with here.database.write() as connection:
        _check_usable(here, existing(connection, tenant, model_id))
        owed_ids: list[str] = []
        if switch(connection, model_id, tenant):
            owed_ids = _owe_activation(connection, tenant, model_id, here.settings.public_base)
            audit.append(connection, actor, action, tenant=tenant, object_id=model_id)
    for delivery_id in owed_ids:
        here.send_delivery(delivery_id)


def _owe_activation(connection: Connection, tenant: str, model_id: str, base: str) -> list[str]:
    """Owe `model.activated` to the tenant's endpoints. The installation's default is an event of each tenant."""
    tenants = receivers.tenants(connection, MODEL_ACTIVATED) if tenant == INSTALLATION else [tenant]
    ids: list[str] = []
    for each in tenants:
        to = receivers.of(connection, each, MODEL_ACTIVATED)
        if not to:
            continue
        at = database_time(connection)
        [shown] = _shown(connection, each, [existing(connection, tenant, model_id)], base)
        ids += owed.owe(connection, to, [owed.Event(MODEL_ACTIVATED, shown, at, f"{model_id} {at}")], each)
    return ids


def existing(connection: Connection, tenant: str, model_id: str) -> ModelRecord:
    """A version that the tenant may use; raises 404. For the installation only its own will do: its default must be
    there for every tenant."""
    row = versions.get(connection, model_id, tenant)
    if row is None:
        raise not_found(f"model {model_id}")
    return row


def _check_usable(here: Service, model: ModelRecord) -> None:
    """Raise 409 unless the version has passed its trial and its bytes are there and whole."""
    if model.status != ModelStatus.READY:
        why = f": {model.reason}" if model.reason else ""
        raise HttpProblem(409, "model_not_ready", f"model {model.id} is {model.status}{why}")
    path = here.blobs.artifact_path(model.sha256)
    if not path.is_file():
        raise HttpProblem(409, "artifact_missing", "the bytes of this version are gone")
    read_artifact(path)


def _shown(connection: Connection, tenant: str, rows: Sequence[ModelRecord], base: str) -> list[ModelPayload]:
    active = activations.active_id(connection, tenant)
    activated = defaultdict(list)
    for model_id, at in activations.history(connection, tenant):
        activated[model_id].append(at)
    return [
        model_payload(row, active=row.id == active, activated=activated[row.id], base=base) for row in rows
    ]
