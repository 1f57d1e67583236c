"""Access: keys, quotas and the audit trail of a tenant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

from shared.client.calls import JSON, get, pages, post
from shared.client.places import identifier, with_query
from shared.client.transport import Transport

if TYPE_CHECKING:
    from shared.contract.audit import AuditEntryPayload
    from shared.contract.keys import ApiKeyPayload
    from shared.contract.quotas import QuotaChange, QuotasPayload


class Access:
    """Administer a tenant. An operator may name another one, or `*` for every tenant where a list allows it."""

    _wire: Transport

    def keys(self, *, tenant: str | None = None) -> Iterator[ApiKeyPayload]:
        """The keys of this key's tenant, without their secrets."""
        return pages(self._wire, "/v1/api-keys", {"tenant": tenant})

    def create_key(
        self, name: str, scopes: Iterable[str], *, expires_at: str | None = None, tenant: str | None = None
    ) -> ApiKeyPayload:
        """A new key; its `secret` is in this answer and nowhere else. `expires_at` is an RFC 3339 time."""
        asked: dict[str, object] = {"name": name, "scopes": list(scopes), "expires_at": expires_at}
        path = with_query("/v1/api-keys", tenant=tenant)
        return cast("ApiKeyPayload", post(self._wire, path, asked, once=True))

    def rotate_key(
        self,
        key_id: str,
        *,
        grace: float | None = None,
        expires_at: str | None = None,
        tenant: str | None = None,
    ) -> ApiKeyPayload:
        """A new key in place of this one, which lives on for `grace` seconds (a day where absent)."""
        given = {"grace": grace, "expires_at": expires_at}
        asked = {name: value for name, value in given.items() if value is not None}
        path = with_query(f"/v1/api-keys/{identifier(key_id)}/rotate", tenant=tenant)
        return cast("ApiKeyPayload", post(self._wire, path, asked, once=True))

    def delete_key(self, key_id: str, *, tenant: str | None = None) -> None:
        """Revoke a key and end its sessions."""
        self._wire.call("DELETE", with_query(f"/v1/api-keys/{identifier(key_id)}", tenant=tenant))

    def audit(self, **filters: object) -> Iterator[AuditEntryPayload]:
        """The audit trail, newest first; `filters` are the query of GET /v1/audit."""
        return pages(self._wire, "/v1/audit", filters)

    def quotas(self, *, tenant: str | None = None) -> QuotasPayload:
        """The quotas of this key's tenant: how much it uses, and how much it may."""
        return cast("QuotasPayload", get(self._wire, with_query("/v1/quotas", tenant=tenant)))

    def set_quotas(self, change: QuotaChange, *, tenant: str | None = None) -> QuotasPayload:
        """Set bounds of a tenant, as an operator; None goes back to the installation's bound."""
        body, path = json.dumps(change).encode(), with_query("/v1/quotas", tenant=tenant)
        return cast("QuotasPayload", self._wire.call("PATCH", path, body=body, headers=JSON).json())
