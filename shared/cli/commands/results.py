"""`gonogo results`: every item of a batch, as a file or a stream."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shared.cli import service

if TYPE_CHECKING:
    from shared.client.client import Client


@click.command(short_help="every item of a batch with its verdict")
@click.argument("batch")
@click.option("--format", type=click.Choice(["csv", "ndjson"]), help="By the suffix of --output, else csv.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of stdout."
)
@service.options
@click.option("--json", "as_json", is_flag=True, help="The same as --format ndjson.")
def results(where: service.Where, as_json: bool, batch: str, format: str | None, output: Path | None) -> None:
    """Every item of a batch with its verdict."""
    suffix = output.suffix[1:] if output else ""
    chosen = "ndjson" if as_json else format
    kind = chosen or (suffix if suffix in {"csv", "ndjson"} else "csv")
    with service.open_client(where) as client:
        if output:
            save_results(client, batch, kind, output)
            return
        for block in client.results_blocks(batch, kind):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()


def save_results(client: Client, batch_id: str, format: str, output: Path) -> None:
    """Stream the results into a file that appears whole or not at all."""
    written = output.with_name(f".{output.name}.part")
    try:
        with written.open("wb") as file:
            for block in client.results_blocks(batch_id, format):
                file.write(block)
        written.replace(output)
    except OSError as error:
        raise service.Usage(f"{output}: {error.strerror}") from error
    finally:
        written.unlink(missing_ok=True)
