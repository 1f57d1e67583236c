"""`gonogo shadow`: a candidate that also scores a share of the images."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from shared.cli import service
from shared.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.contract.shadows import ShadowPayload


@click.group(short_help="let a candidate also score a share of the images, and compare")
def shadow() -> None:
    """Let a candidate also score a share of the images, as spare work, and compare it with the model in use."""


@shadow.command()
@click.argument("candidate")
@click.option(
    "--share", type=click.FloatRange(0.0, 1.0), required=True, help="Share of the images that it scores."
)
@click.option("--model", help="The version whose images it scores; the active one where absent.")
@service.options
@service.as_json
def start(where: service.Where, as_json: bool, candidate: str, share: float, model: str | None) -> None:
    """Let CANDIDATE, a ready version, also score a share of the images."""
    with service.open_client(where) as client:
        made = client.start_shadow(candidate, share=share, model=model)
    print_json(made) if as_json else _print([made])


@shadow.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many to list.")
@service.options
@service.as_json
def list_(where: service.Where, as_json: bool, limit: int) -> None:
    """The shadows, newest first."""
    with service.open_client(where) as client:
        found = list(itertools.islice(client.shadows(limit=min(limit, 1000)), limit))
    print_json(found) if as_json else _print(found)


@shadow.command()
@click.argument("shadow_id", metavar="SHADOW")
@service.options
@service.as_json
def show(where: service.Where, as_json: bool, shadow_id: str) -> None:
    """How often the candidate gives another verdict, and what the figures say."""
    with service.open_client(where) as client:
        found = client.shadow(shadow_id)
    if as_json:
        print_json(found)
        return
    rate = found["flip_rate"]
    print(f"{found['images']} images, {found['agree']} with the same verdict")
    print(f"another verdict: {rate['low']:.2%} to {rate['high']:.2%} of the images")
    print_table(
        ["before", "after", "images"],
        [(row["before"], row["after"], row["count"]) for row in found["changes"]],
    )
    print(found["recommendation"]["text"])


@shadow.command()
@click.argument("shadow_id", metavar="SHADOW")
@service.options
@service.as_json
def stop(where: service.Where, as_json: bool, shadow_id: str) -> None:
    """Stop a shadow. Its scores stay until their batches are deleted."""
    with service.open_client(where) as client:
        found = client.stop_shadow(shadow_id)
    print_json(found) if as_json else _print([found])


def _print(found: Iterable[ShadowPayload]) -> None:
    print_table(
        ["shadow", "model", "candidate", "share", "status"],
        [(row["id"], row["model_id"], row["candidate_id"], row["share"], row["status"]) for row in found],
    )
