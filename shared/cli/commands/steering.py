"""`gonogo pause`, `resume`, `retry`, `cancel` and `delete`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from shared.cli import service
from shared.cli.batch_text import describe
from shared.cli.output import print_json

if TYPE_CHECKING:
    from shared.client.client import Client
    from shared.contract.batches import BatchPayload


def _steer(where: service.Where, as_json: bool, call: Callable[[Client], BatchPayload]) -> None:
    with service.open_client(where) as client:
        batch = call(client)
    print_json(batch) if as_json else print(describe(batch))


@click.command(short_help="hold a batch")
@click.argument("batch")
@service.options
@service.as_json
def pause(where: service.Where, as_json: bool, batch: str) -> None:
    """Hold a batch: what no worker has begun waits until `gonogo resume`. A deadline goes on."""
    _steer(where, as_json, lambda client: client.pause(batch))


@click.command(short_help="go on with a paused batch")
@click.argument("batch")
@service.options
@service.as_json
def resume(where: service.Where, as_json: bool, batch: str) -> None:
    """Go on with a paused batch."""
    _steer(where, as_json, lambda client: client.resume(batch))


@click.command(short_help="judge a batch's failed items again")
@click.argument("batch")
@service.options
@service.as_json
def retry(where: service.Where, as_json: bool, batch: str) -> None:
    """Judge the failed items of a finished batch again. Verdicts that are there stay."""
    _steer(where, as_json, lambda client: client.retry(batch))


@click.command(short_help="stop a batch")
@click.argument("batch")
@service.options
@service.as_json
def cancel(where: service.Where, as_json: bool, batch: str) -> None:
    """Stop a batch: open items are cancelled, verdicts that are there stay."""
    _steer(where, as_json, lambda client: client.cancel(batch))


@click.command(short_help="remove a finished batch")
@click.argument("batch")
@service.options
@service.as_json
def delete(where: service.Where, as_json: bool, batch: str) -> None:
    """Remove a finished batch with its verdicts and its images. It cannot be undone."""
    with service.open_client(where) as client:
        client.delete(batch)
    print_json({"id": batch, "deleted": True}) if as_json else print(f"{batch} is deleted")
