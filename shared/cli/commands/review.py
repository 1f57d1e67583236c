"""`gonogo review`: look at items of the queue, and give a person's verdict."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shared.cli import service
from shared.cli.commands.results import check_place
from shared.cli.output import megabytes, print_json, print_table
from shared.contract.agreement import GROUPINGS
from shared.contract.reviews import ENTRY_STATUS, PERSONS_VERDICTS, QUEUED_SOURCES, SOURCES, WAITING

if TYPE_CHECKING:
    from shared.contract.items import ItemPayload
    from shared.contract.rates import RatePayload

_claim = click.option("--claim", metavar="CLAIM", help="As `review next` printed it.")


def _wanted(sources: tuple[str, ...]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for option in (
            click.option(
                "--source", multiple=True, type=click.Choice(sources), help="Why it is in the queue."
            ),
            click.option("--line", help="This production line only."),
            click.option("--batch", "batch_id", metavar="BATCH", help="Of this batch."),
        ):
            command = option(command)
        return command

    return add


@click.group(short_help="look at items, and give a person's verdict")
def review() -> None:
    """Look at items of the review queue, and give a person's verdict."""


@review.command("list")
@click.option("--status", type=click.Choice(ENTRY_STATUS), default=WAITING, show_default=True)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many to list.")
@_wanted(SOURCES)
@service.options
@service.as_json
def list_(
    where: service.Where,
    as_json: bool,
    status: str,
    limit: int,
    batch_id: str | None,
    line: str | None,
    source: tuple[str, ...],
) -> None:
    """Entries of the queue, as far as it is made."""
    filters = {"batch_id": batch_id, "line": line, "source": list(source) or None}
    with service.open_client(where) as client:
        entries = client.reviews(status=status, limit=min(limit, 200), **filters)
        found = list(itertools.islice(entries, limit))
    if as_json:
        print_json(found)
        return
    columns = ("item_id", "source", "line", "given", "rounds", "verdict", "claimed_until", "reviewed_at")
    print_table(columns, [[dict(entry)[name] for name in columns] for entry in found])


@review.command("next")
@_wanted(QUEUED_SOURCES)
@service.options
@service.as_json
def next_(
    where: service.Where, as_json: bool, batch_id: str | None, line: str | None, source: tuple[str, ...]
) -> None:
    """Take the next item: no other person gets it for some minutes."""
    with service.open_client(where) as client:
        task = client.next_review(batch_id=batch_id, line=line, source=list(source) or None)
    if as_json:
        print_json(task)
    elif task is None:
        print("nothing waits for a review")
    else:
        item = task["item"]
        rows = [(item["id"], item["filename"], item["verdict"], item["score"], task["source"], task["claim"])]
        print_table(["item", "filename", "verdict", "score", "source", "claim"], rows)


@review.command()
@click.argument("item")
@click.argument("verdict", type=click.Choice([verdict.value for verdict in PERSONS_VERDICTS]))
@click.option("--note", help="Why, for whoever reads it later.")
@_claim
@service.options
@service.as_json
def give(
    where: service.Where, as_json: bool, item: str, verdict: str, note: str | None, claim: str | None
) -> None:
    """Give a verdict on an item, from the queue or chosen."""
    with service.open_client(where) as client:
        _show(client.review_item(item, verdict, note=note, claim=claim), as_json)


@review.command()
@click.argument("item")
@service.options
@service.as_json
def undo(where: service.Where, as_json: bool, item: str) -> None:
    """Take back this key's newest verdict on an item."""
    with service.open_client(where) as client:
        _show(client.take_back_review(item), as_json)


@review.command()
@click.argument("item")
@_claim
@service.options
@service.as_json
def skip(where: service.Where, as_json: bool, item: str, claim: str | None) -> None:
    """Give an item back to the queue, behind the others."""
    with service.open_client(where) as client:
        client.skip_review(item, claim=claim)
    if as_json:
        print_json({"skipped": item})


@review.command()
@click.option("--days", type=click.FloatRange(min=0.001, max=366), default=30, show_default=True)
@click.option("--by", multiple=True, type=click.Choice(GROUPINGS), help="A row for each; may be given again.")
@service.options
@service.as_json
def agreement(where: service.Where, as_json: bool, days: float, by: tuple[str, ...]) -> None:
    """How well the model and persons agree, and the rates that the audit tells."""
    with service.open_client(where) as client:
        found = client.agreement(window=days * 86_400, by=list(by) or None)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            group["model"]["name"] if group["model"] else None,
            group["line"],
            group["day"],
            _total(group["reviewed"]),
            None if group["agreed"] is None else f"{group['agreed']:.1%}",
            _rate(group["escape_rate"]),
            _rate(group["false_reject_rate"]),
        )
        for group in found["groups"]
    ]
    print_table(["model", "line", "day", "reviewed", "agreed", "escape rate", "false-reject rate"], rows)


@review.command()
@click.argument("output", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--days", type=click.FloatRange(min=0.001, max=3660), default=366, show_default=True)
@click.option("--line", help="Of this production line.")
@click.option("--batch", "batch_id", metavar="BATCH", help="Of this batch.")
@service.options
@service.as_json
def export(
    where: service.Where, as_json: bool, output: Path, days: float, line: str | None, batch_id: str | None
) -> None:
    """Write the reviewed images as a zip for `gonogo train --from-reviews`."""
    check_place(output)
    written = output.with_name(f".{output.name}.part")
    try:
        with (
            service.open_client(where) as client,
            client.review_export(window=days * 86_400, line=line, batch_id=batch_id) as blocks,
            written.open("wb") as file,
        ):
            file.writelines(blocks)
        written.replace(output)
    finally:
        written.unlink(missing_ok=True)
    size = output.stat().st_size
    print_json({"file": str(output), "bytes": size}) if as_json else print(f"{output}: {megabytes(size)}")


def _total(reviewed: Any) -> int:
    return sum(sum(persons.values()) for persons in reviewed.values())


def _rate(rate: RatePayload) -> str:
    limits = f"{rate['low']:.2%} to {rate['high']:.2%}"
    return limits if rate["value"] is None else f"{rate['value']:.2%} ({limits})"


def _show(item: ItemPayload, as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    found = item["review"]
    person = found["verdict"] if found else None
    rows = [(item["id"], item["filename"], item["verdict"], person, found["by"] if found else None)]
    print_table(["item", "filename", "model", "person", "by"], rows)
