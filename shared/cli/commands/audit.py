"""`gonogo audit`: who did what to which object."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import click

from shared.cli import moments, service
from shared.cli.output import print_json, print_table
from shared.contract.audit import ACTIONS

if TYPE_CHECKING:
    from shared.contract.audit import AuditEntryPayload


@click.group(short_help="read the audit trail")
def audit() -> None:
    """Read the audit trail: who did what to which object."""


@audit.command("list")
@click.option("--key-id", help="Only actions of this API key.")
@click.option(
    "--action", multiple=True, type=click.Choice(list(ACTIONS)), help="Only this action. May be repeated."
)
@click.option("--object", "object_id", help="Only actions on this batch, model version, key or session.")
@click.option("--after", type=moments.moment, metavar="TIME", help="Only after this day or RFC 3339 time.")
@click.option("--before", type=moments.moment, metavar="TIME", help="Only before this day or RFC 3339 time.")
@click.option("--tenant", help="As an operator: the entries of this tenant; * is every entry.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Most entries to list."
)
@service.options
@service.as_json
def list_(
    where: service.Where,
    as_json: bool,
    key_id: str | None,
    action: tuple[str, ...],
    object_id: str | None,
    after: str | None,
    before: str | None,
    tenant: str | None,
    limit: int,
) -> None:
    """The entries of this key's tenant, the newest first."""
    filters = {
        "key_id": key_id,
        "action": ",".join(action) or None,
        "object_id": object_id,
        "created_after": after,
        "created_before": before,
        "tenant": tenant,
        "limit": min(limit, 1000),
    }
    with service.open_client(where) as client:
        found = list(itertools.islice(client.audit(**filters), limit))
    if as_json:
        print_json(found)
        return
    print_table(["at", "action", "object", "key", "address", "request", "detail"], map(_row, found))


def _row(entry: AuditEntryPayload) -> tuple[object, ...]:
    detail = json.dumps(entry["detail"], ensure_ascii=False) if entry["detail"] else ""
    at, key = entry["created_at"], entry["key_id"]
    return (at, entry["action"], entry["object_id"], key, entry["address"], entry["request_id"], detail)
