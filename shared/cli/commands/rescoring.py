"""`gonogo rescore`: another operating point over the stored scores of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shared.cli import service
from shared.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.contract.rescoring import RescoreAnswer, RescoringPayload, VerdictChange

_share = click.FloatRange(0, 1)


@click.command(short_help="judge a finished batch by another threshold")
@click.argument("batch")
@click.option("--threshold", type=_share, metavar="SCORE", help="A score from here on is a defect.")
@click.option(
    "--review", type=(_share, _share), metavar="LOW HIGH", help="Lowest and highest score that go to review."
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--revision",
    type=click.IntRange(0),
    metavar="N",
    help="Refuse where the batch is no longer at this revision.",
)
@click.option("--history", is_flag=True, help="Show how the batch was rescored so far.")
@service.options
@service.as_json
def rescore(
    where: service.Where,
    as_json: bool,
    batch: str,
    threshold: float | None,
    review: tuple[float, float] | None,
    dry_run: bool,
    revision: int | None,
    history: bool,
) -> None:
    """Judge a finished batch by another operating point, from its stored scores. No image is judged again."""
    if not history and threshold is None and review is None:
        raise click.UsageError("say --threshold, --review or both, or --history")
    with service.open_client(where) as client:
        if history:
            found = client.rescorings(batch)
            print_json(found) if as_json else _print_history(found)
            return
        answer = client.rescore(
            batch, threshold=threshold, review_band=review, dry_run=dry_run, expected_revision=revision
        )
    print_json(answer) if as_json else print(_told(answer))


def _told(answer: RescoreAnswer) -> str:
    point = answer["operating_point"]
    low, high = point["review_band"]
    verb = "would change" if answer["dry_run"] else "changed"
    said = [
        f"revision {answer['revision']}: threshold {point['threshold']:g}, review {low:g} to {high:g}",
        f"{verb} images: {_changes(answer['items'])}",
    ]
    if answer["parts"]:
        said.append(f"{verb} parts: {_changes(answer['parts'])}")
        said.append("  " + ", ".join(flip["part_id"] for flip in answer["flipped_parts"]))
    return "\n".join(said)


def _changes(rows: Sequence[VerdictChange]) -> str:
    return ", ".join(f"{row['count']} {row['before']} to {row['after']}" for row in rows) or "none"


def _print_history(rows: Sequence[RescoringPayload]) -> None:
    print_table(
        ["revision", "at", "threshold", "review", "images", "parts", "key"],
        [
            (
                row["revision"],
                row["created_at"],
                row["operating_point"]["threshold"],
                " to ".join(f"{end:g}" for end in row["operating_point"]["review_band"]),
                _changes(row["items"]),
                _changes(row["parts"]),
                row["key_id"] or "",
            )
            for row in rows
        ],
    )
