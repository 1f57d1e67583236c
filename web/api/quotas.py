"""A tenant's quotas: what it uses and what it may; an operator sets bounds for one tenant."""

from typing import cast

from flask import Blueprint, g

from shared.access import quotas
from shared.access.keys import check_tenant
from shared.contract.queries import TenantQuery
from shared.contract.quotas import QuotaBounds, QuotaChange, QuotasPayload, QuotaUse
from shared.lifecycle import open_work
from shared.lifecycle.open_work import OpenWork
from shared.store.records import QuotaRecord
from web.http import trail
from web.http.auth import require
from web.http.operations import operation
from web.http.problems import HttpProblem
from web.http.tenants import acting_tenant
from web.service import service

blueprint = Blueprint("quotas", __name__)


@blueprint.get("/v1/quotas")
@require("read")
@operation(
    "The bounds of a tenant, and how much of them it uses",
    {200: QuotasPayload},
    query=TenantQuery,
    problems=(403,),
)
def show_quotas(query: TenantQuery) -> QuotasPayload:
    tenant = acting_tenant(query)
    with service().database.read() as connection:
        row = quotas.find(connection, tenant)
    return _payload(row)


@blueprint.patch("/v1/quotas")
@require("admin")
@operation(
    "Set bounds of a tenant; those that are not named stay",
    {200: QuotasPayload},
    query=TenantQuery,
    body={"application/json": QuotaChange},
    problems=(400, 403, 413, 415, 422),
)
def set_quotas(query: TenantQuery, body: QuotaChange) -> QuotasPayload:
    tenant = acting_tenant(query)
    check_tenant(tenant)
    if "operator" not in g.key.scopes:
        raise HttpProblem(403, "forbidden", "only a key with the scope 'operator' sets quotas")
    with service().database.write() as connection:
        row = quotas.set_bounds(connection, tenant, cast("dict[str, float | None]", body))
        trail.note(connection, "quota.set", tenant, tenant=tenant, changed={**body})
    return _payload(row)


def _payload(row: QuotaRecord) -> QuotasPayload:
    here = service()
    with here.database.read() as connection:
        work = open_work.by_tenant(connection).get(row.tenant, OpenWork())
    bounds = quotas.bounds(row, here.settings)
    return QuotasPayload(
        object="quotas",
        tenant=row.tenant,
        used=QuotaUse(
            stored_bytes=row.used_bytes,
            stored_items=row.used_items,
            open_items=work.items,
            open_bytes=round(work.bytes),
        ),
        bounds=QuotaBounds(
            stored_bytes=bounds.stored_bytes,
            stored_items=bounds.stored_items,
            retention_s=bounds.retention_s,
            open_items=bounds.open_items,
            open_bytes=bounds.open_bytes,
        ),
        own=[name for name in quotas.BOUNDS if getattr(row, name) is not None],
    )
