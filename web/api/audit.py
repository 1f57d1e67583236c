"""The audit trail of a tenant, or of the installation for an operator."""

from flask import Blueprint
from sqlalchemy import ColumnElement, select

from shared.contract.audit import AuditEntryPayload, audit_payload
from shared.contract.pages import Page, page
from shared.contract.queries import AuditQuery
from shared.registry.activations import INSTALLATION
from shared.store.records import AuditRecord
from shared.store.tables import AuditEntry
from web.http.auth import require
from web.http.cursors import Cursors
from web.http.operations import operation
from web.http.tenants import acting_tenant
from web.service import service

blueprint = Blueprint("audit", __name__)


@blueprint.get("/v1/audit")
@require("admin")
@operation(
    "List who did what to which object, newest first",
    {200: Page[AuditEntryPayload]},
    query=AuditQuery,
    problems=(400, 403),
)
def list_audit(query: AuditQuery) -> Page[AuditEntryPayload]:
    tenant, limit = acting_tenant(query), query["limit"]
    cursors = Cursors("audit", tenant, query=query)
    rows = select(AuditEntry.__table__).where(*_filters(query, tenant))
    if (cursor := cursors.decode(str)) is not None:
        rows = rows.where(AuditEntry.id < cursor[0])
    with service().database.read() as connection:
        found = connection.execute(rows.order_by(AuditEntry.id.desc()).limit(limit + 1)).all()
    records = [AuditRecord._make(row) for row in found[:limit]]
    following = cursors.encode(records[-1].id) if len(found) > limit else None
    return page([audit_payload(record) for record in records], following)


def _filters(query: AuditQuery, tenant: str) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if tenant != INSTALLATION:
        filters.append(AuditEntry.tenant == tenant)
    if "key_id" in query:
        filters.append(AuditEntry.key_id == query["key_id"])
    if "action" in query:
        filters.append(AuditEntry.action.in_(query["action"]))
    if "object_id" in query:
        filters.append(AuditEntry.object_id == query["object_id"])
    if "created_after" in query:
        filters.append(AuditEntry.at > query["created_after"])
    if "created_before" in query:
        filters.append(AuditEntry.at < query["created_before"])
    return filters
