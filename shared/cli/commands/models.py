"""`gonogo models`: list, upload and switch model versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shared.cli import service
from shared.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.contract.models import ModelPayload


@click.group(short_help="list, upload and switch model versions")
def models() -> None:
    """List, upload and switch model versions."""


@models.command("list")
@service.options
@service.as_json
def list_(where: service.Where, as_json: bool) -> None:
    """Every model version."""
    with service.open_client(where) as client:
        found = list(client.models())
    print_json(found) if as_json else _print(found)


@models.command()
@click.argument("artifact", metavar="FILE", type=click.Path(path_type=Path))
@service.options
@service.as_json
def upload(where: service.Where, as_json: bool, artifact: Path) -> None:
    """Upload an artifact."""
    with service.open_client(where) as client:
        _show(client.upload_model(artifact), as_json)


@models.command()
@click.argument("model")
@service.options
@service.as_json
def activate(where: service.Where, as_json: bool, model: str) -> None:
    """Let new batches use this version (its id)."""
    with service.open_client(where) as client:
        _show(client.activate_model(model), as_json)


@models.command()
@click.argument("model")
@service.options
@service.as_json
def rollback(where: service.Where, as_json: bool, model: str) -> None:
    """Back to the version that was active before."""
    with service.open_client(where) as client:
        _show(client.rollback_model(model), as_json)


def _show(version: ModelPayload, as_json: bool) -> None:
    print_json(version) if as_json else _print([version])


def _print(versions: Iterable[ModelPayload]) -> None:
    rows = [
        (
            "*" if version["active"] else "",
            version["id"],
            version["name"],
            version["operating_point"]["threshold"],
            version["sha256"][:16],
            version["created_at"],
        )
        for version in versions
    ]
    print_table(["", "id", "name", "threshold", "sha256", "created"], rows)
