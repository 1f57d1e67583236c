"""`gonogo drift`."""

import itertools

import click

from shared.cli import service
from shared.cli.output import print_json, print_table
from shared.contract.drift import DriftWindowPayload


@click.command(short_help="images that no longer look like the model's")
@click.option("--model", "model_id", metavar="ID", help="Only windows of this model version.")
@click.option("--line", help="Only windows of this production line.")
@click.option("--drifted", is_flag=True, help="Only windows with drift.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most windows to list."
)
@service.options
@service.as_json
def drift(
    where: service.Where, as_json: bool, model_id: str | None, line: str | None, drifted: bool, limit: int
) -> None:
    """Windows of judged images with their distance from the model's reference, the newest first."""
    filters = {"model_id": model_id, "line": line, "drifted": "true" if drifted else None}
    with service.open_client(where) as client:
        found = list(itertools.islice(client.drift(**filters, limit=min(limit, 1000)), limit))
    if as_json:
        print_json(found)
        return
    titles = ["ended", "line", "model", "images", "score", "unfamiliarity", "limit", "drift"]
    print_table(titles, map(_row, found))


def _row(window: DriftWindowPayload) -> tuple[object, ...]:
    distances = window["distances"]
    drifted = "yes" if window["drifted"] else "no"
    measured = (distances.get("score"), distances.get("unfamiliarity"), window["limit"])
    return (window["ended_at"], window["line"], window["model_id"], window["images"], *measured, drifted)
