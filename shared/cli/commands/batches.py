"""`gonogo status` and `watch`."""

from __future__ import annotations

import itertools
import json

import click

from shared.cli import service
from shared.cli.batch_text import describe, follow, lost, outcome_status, standing, watched
from shared.cli.output import print_json, print_table


@click.command(short_help="one batch, or the latest ones")
@click.argument("batch", required=False)
@click.option("--status", "state", help="List only batches in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many to list.")
@service.options
@service.as_json
def status(where: service.Where, as_json: bool, batch: str | None, state: str | None, limit: int) -> None:
    """A batch, or the latest ones, active first."""
    with service.open_client(where) as client:
        if batch is not None:
            one = client.batch(batch)
            print_json(one) if as_json else print(describe(one))
            return
        found = client.batches(status=state, limit=min(limit, 100))
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
