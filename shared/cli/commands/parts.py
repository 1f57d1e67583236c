"""`gonogo parts`: the parts of a batch, or what became of a part."""

from __future__ import annotations

import itertools

import click

from shared.cli import service
from shared.cli.output import print_json, print_table
from shared.contract.parts import PART_STATUS
from shared.contract.states import Verdict


@click.command(short_help="the parts of a batch, or what became of a part")
@click.argument("batch", required=False)
@click.option("--part", "part_id", metavar="ID", help="This part alone, such as a serial number.")
@click.option("--lot", help="Parts of this lot, in all batches.")
@click.option("--order", help="Parts of this order, in all batches.")
@click.option(
    "--verdict", type=click.Choice([verdict.value for verdict in Verdict]), help="This verdict only."
)
@click.option("--status", type=click.Choice(PART_STATUS), help="open: a view has no verdict yet.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many to list.")
@service.options
@service.as_json
def parts(where: service.Where, as_json: bool, batch: str | None, limit: int, **asked: str | None) -> None:
    """The parts of a batch, or without one those of all batches, the newest batch first.

    A part is all images of a batch that share a part_id.
    """
    if batch is not None and (asked["lot"] or asked["order"]):
        raise service.Usage("a batch has one lot and one order: name the batch, or the lot and the order")
    filters = {name: value for name, value in asked.items() if value is not None}
    with service.open_client(where) as client:
        found = list(itertools.islice(client.parts(batch, limit=min(limit, 200), **filters), limit))
    if as_json:
        print_json(found)
        return
    print_table(
        ["part", "verdict", "views", "why", "lot", "batch", "finished"],
        [
            (
                part["part_id"],
                part["verdict"] or part["status"],
                part["total"],
                " ".join(part["reasons"]),
                part["lot"],
                part["batch_id"],
                part["finished_at"],
            )
            for part in found
        ],
    )
