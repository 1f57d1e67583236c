"""`gonogo rerun` and `diff`: the same images by another model version."""

from __future__ import annotations

import itertools

import click

from shared.cli import service
from shared.cli.batch_text import describe
from shared.cli.output import print_json, print_table
from shared.contract.reruns import OUTCOMES

_outcome = click.Choice([each.value for each in OUTCOMES])


@click.command(short_help="judge a finished batch's images by another model version")
@click.argument("batch")
@click.option("--model", required=True, help="A model version's id or name.")
@click.option("--name", help="The name of the new batch.")
@service.options
@service.as_json
def rerun(where: service.Where, as_json: bool, batch: str, model: str, name: str | None) -> None:
    """Judge the images of a finished batch by another model version, as a new batch. `gonogo diff` compares both."""
    with service.open_client(where) as client:
        made = client.rerun(batch, model=model, name=name)
    print_json(made) if as_json else print(describe(made))


@click.command(short_help="compare a batch with its rerun")
@click.argument("batch")
@click.argument("other")
@click.option("--all", "every", is_flag=True, help="The images that both judge alike, too.")
@click.option("--before", type=_outcome, help="With this verdict, or status without one, in the first batch.")
@click.option("--after", type=_outcome, help="With this verdict, or status without one, in the second batch.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many to list.")
@service.options
@service.as_json
def diff(
    where: service.Where,
    as_json: bool,
    batch: str,
    other: str,
    every: bool,
    before: str | None,
    after: str | None,
    limit: int,
) -> None:
    """List the images that two batches judge otherwise, and how many there are of each kind."""
    with service.open_client(where) as client:
        counts = client.diff_counts(batch, other)
        wanted = client.diff(batch, other, all=every or None, before=before, after=after)
        found = list(itertools.islice(wanted, limit))
    if as_json:
        print_json({"counts": counts, "items": found})
        return
    print_table(
        ["before", "after", "images"], [(row["before"], row["after"], row["count"]) for row in counts]
    )
    print()
    print_table(
        ["image", "before", "score", "after", "score"],
        [
            (
                entry["filename"],
                entry["before"]["verdict"] or entry["before"]["status"],
                entry["before"]["score"],
                entry["after"]["verdict"] or entry["after"]["status"],
                entry["after"]["score"],
            )
            for entry in found
        ],
    )
