"""`gonogo items` and `gonogo item`: verdicts with their evidence, on the terminal."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shared.cli import service
from shared.cli.commands.results import check_place
from shared.cli.output import print_json, print_table, printable
from shared.cli.pairs import pairs
from shared.contract.states import ItemStatus, Verdict

if TYPE_CHECKING:
    from shared.contract.items import ItemPayload

_SORTS = ("seq", "score", "-score")
_SHARE = click.FloatRange(0.0, 1.0)
# Flags whose values are sent as they are; --status and --verdict are lists, and --metadata names a key.
_PLAIN = ("min_score", "max_score", "custom_id", "part_id", "view", "q", "sort")


@click.command(short_help="the items of a batch, filtered and sorted")
@click.argument("batch")
@click.option(
    "--status", multiple=True, type=click.Choice([each.value for each in ItemStatus]), help="May be repeated."
)
@click.option(
    "--verdict", multiple=True, type=click.Choice([each.value for each in Verdict]), help="May be repeated."
)
@click.option("--min-score", type=_SHARE, help="The lowest score, included.")
@click.option("--max-score", type=_SHARE, help="The highest score, included.")
@click.option("--custom-id", metavar="ID", help="The item with this custom_id.")
@click.option("--part", "part_id", metavar="ID", help="The views of this part.")
@click.option("--view", help="This view of each part.")
@click.option("--name", "q", metavar="TEXT", help="Text in the file name.")
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", help="This value of the metadata. May be repeated."
)
@click.option("--sort", type=click.Choice(_SORTS), help="-score: the highest score first.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many to list.")
@service.options
@service.as_json
def items(where: service.Where, as_json: bool, batch: str, limit: int, **asked: Any) -> None:
    """The items of a batch with verdict, score and reasons."""
    filters = {name: asked[name] for name in _PLAIN if asked[name] is not None}
    filters |= {name: list(asked[name]) for name in ("status", "verdict") if asked[name]}
    if asked["metadata"]:
        filters["metadata"] = pairs("--metadata", asked["metadata"])
    with service.open_client(where) as client:
        found = list(itertools.islice(client.items(batch, limit=min(limit, 1000), **filters), limit))
    if as_json:
        print_json(found)
        return
    print_table(
        ["item", "file", "verdict", "score", "why", "part", "view"],
        [
            (
                item["id"],
                item["filename"],
                item["verdict"] or item["status"],
                item["score"],
                _why(item),
                item["part_id"],
                item["view"],
            )
            for item in found
        ],
    )


@click.command(short_help="an item with the evidence of its verdict")
@click.argument("item")
@click.option(
    "--image", type=click.Path(path_type=Path), metavar="FILE", help="Write its image here, a JPEG."
)
@click.option("--thumbnail", type=click.Path(path_type=Path), metavar="FILE", help="Write a small JPEG here.")
@click.option(
    "--heatmap", type=click.Path(path_type=Path), metavar="FILE", help="Write its heatmap here, a PNG."
)
@service.options
@service.as_json
def item(where: service.Where, as_json: bool, item: str, **drawings: Path | None) -> None:
    """An item: its verdict, the scores, thresholds and hashes that it rests on, and who judged."""
    wanted = {kind: path for kind, path in drawings.items() if path is not None}
    for path in wanted.values():
        check_place(path)
    with service.open_client(where) as client:
        found = client.item(item)
        for kind, path in wanted.items():
            path.write_bytes(getattr(client, kind)(item))
    if as_json:
        print_json(found)
        return
    shown = {name: value for name, value in found.items() if value not in (None, [], {}) and name != "object"}
    print_table(["", ""], [(name, _text(value)) for name, value in shown.items()])


def _why(item: ItemPayload) -> str:
    return item["error"]["code"] if item["error"] else " ".join(item["reasons"])


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(_text(each) for each in value)
    return printable(value)
