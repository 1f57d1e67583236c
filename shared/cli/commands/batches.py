"""`gonogo status` and `watch`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import click

from shared.cli import moments, service
from shared.cli.batch_text import describe, follow, lost, outcome_status, standing, watched
from shared.cli.output import print_json, print_table
from shared.cli.pairs import pairs
from shared.contract.options import LABELS


def _labels(command: Callable[..., object]) -> Callable[..., object]:
    """Add a flag for each label of a batch."""
    for label in reversed(LABELS):
        command = click.option(f"--{label}", help=f"List only batches of this {label}.")(command)
    return command


@click.command(short_help="one batch, or the latest ones")
@click.argument("batch", required=False)
@click.option("--status", help="List only batches in these states, comma-separated.")
@click.option("--name", "q", metavar="TEXT", help="List only batches with this text in their name.")
@_labels
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", help="This value of the metadata. May be repeated."
)
@click.option(
    "--after", "created_after", type=moments.moment, metavar="WHEN", help="Submitted after this time."
)
@click.option(
    "--before", "created_before", type=moments.moment, metavar="WHEN", help="Submitted before this time."
)
@click.option("--predictions", is_flag=True, help="The images of `gonogo predict` in place of batches.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many to list.")
@service.options
@service.as_json
def status(
    where: service.Where,
    as_json: bool,
    batch: str | None,
    metadata: tuple[str, ...],
    predictions: bool,
    limit: int,
    **asked: str | None,
) -> None:
    """A batch, or the latest ones, active first."""
    filters: dict[str, object] = {**asked, "metadata": pairs("--metadata", metadata) or None}
    filters["origin"] = "predict" if predictions else None
    if batch is not None and any(filters.values()):
        raise service.Usage("name a batch, or filters of the list")
    with service.open_client(where) as client:
        if batch is not None:
            one = client.batch(batch)
            print_json(one) if as_json else print(describe(one))
            return
        found = client.batches(**filters, limit=min(limit, 100))
        latest = list(itertools.islice(found, limit))
    if as_json:
        print_json(latest)
        return
    print_table(
        ["batch", "status", "done", "items", "defect", "review", "no verdict", "created"],
        [
            (
                one["id"],
                standing(one),
                f"{one['progress']:.0%}",
                one["counts"]["total"],
                one["verdicts"]["defect"],
                one["verdicts"]["review"],
                lost(one),
                one["created_at"],
            )
            for one in latest
        ],
    )


@click.command(
    short_help="follow a batch until it has finished",
    epilog="Exit status: 0 every item has its verdict; 4 items failed or the batch did not complete.",
)
@click.argument("batch")
@click.option("--timeout", type=service.seconds, metavar="SECONDS", help="Give up after this.")
@service.options
@service.as_json
def watch(where: service.Where, as_json: bool, batch: str, timeout: float | None) -> int:
    """Follow a batch until it has finished."""
    with service.open_client(where, patience_s=60.0) as client, watched(batch):
        if not as_json:
            finished = follow(client, batch, timeout_s=timeout)
            print(describe(finished))
            return outcome_status(finished)
        for state in client.watch(batch, timeout_s=timeout):
            print(json.dumps(state), flush=True)  # one line for each change
        return outcome_status(state)
