"""The tenant that a request acts for: the key's own, or the tenant that an operator names."""

from flask import g

from shared.contract.queries import TenantQuery
from web.http.problems import HttpProblem


def acting_tenant(query: TenantQuery) -> str:
    """The tenant named by `?tenant=`, which takes the scope `operator`; without it, the key's own. Raises 403."""
    own: str = g.key.tenant
    asked = query.get("tenant", own)
    if asked != own and "operator" not in g.key.scopes:
        raise HttpProblem(403, "forbidden", "only a key with the scope 'operator' may name a tenant")
    return asked
