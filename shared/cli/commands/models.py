"""`gonogo models`: list, upload and switch model versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shared.cli import service
from shared.cli.model_card import print_card
from shared.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.contract.model_versions import ModelPayload


_tenant = click.option("--tenant", help="As an operator: act for this tenant; * is the installation.")


@click.group(short_help="list, upload and switch model versions")
def models() -> None:
    """List, upload and switch model versions."""


@models.command("list")
@service.options
@service.as_json
@_tenant
def list_(where: service.Where, as_json: bool, tenant: str | None) -> None:
    """The tenant's model versions and the installation's."""
    with service.open_client(where) as client:
        found = list(client.models(tenant=tenant))
    print_json(found) if as_json else _print(found)


@models.command()
@click.argument("artifact", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--without-guard",
    is_flag=True,
    help="take an artifact that does not know how its images look; its batches carry a warning",
)
@service.options
@service.as_json
@_tenant
def upload(
    where: service.Where, as_json: bool, tenant: str | None, artifact: Path, without_guard: bool
) -> None:
    """Upload an artifact; a worker loads it by trial, and a `ready` version can be activated."""
    with service.open_client(where) as client:
        _show(client.upload_model(artifact, tenant=tenant, without_guard=without_guard), as_json)


@models.command()
@click.argument("model")
@service.options
@service.as_json
@_tenant
def activate(where: service.Where, as_json: bool, tenant: str | None, model: str) -> None:
    """Let new batches use this version (its id)."""
    with service.open_client(where) as client:
        _show(client.activate_model(model, tenant=tenant), as_json)


@models.command()
@click.argument("model")
@service.options
@service.as_json
@_tenant
def rollback(where: service.Where, as_json: bool, tenant: str | None, model: str) -> None:
    """Go back to this version (its id), which was active before."""
    with service.open_client(where) as client:
        _show(client.rollback_model(model, tenant=tenant), as_json)


@models.command()
@click.argument("model")
@service.options
@service.as_json
@_tenant
def card(where: service.Where, as_json: bool, tenant: str | None, model: str) -> None:
    """The card of a version (its id): its use and limits, data, operating point and rates."""
    with service.open_client(where) as client:
        found = client.model_card(model, tenant=tenant)
    if as_json:
        print_json(found)
        return
    print(f"{'model':<8} {model}")
    print_card(found)


def _show(version: ModelPayload, as_json: bool) -> None:
    print_json(version) if as_json else _print([version])


def _print(versions: Iterable[ModelPayload]) -> None:
    rows = [
        (
            "*" if version["active"] else "",
            version["id"],
            version["name"],
            version["status"],
            "installation" if version["tenant"] == "*" else version["tenant"],
            version["operating_point"]["threshold"],
            version["sha256"][:16],
            version["created_at"],
        )
        for version in versions
    ]
    print_table(["", "id", "name", "status", "owner", "threshold", "sha256", "created"], rows)
