"""`gonogo results`: every item of a batch, as a file or a stream."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from shared.cli import service
from shared.contract.queries import RESULT_FORMATS
from shared.contract.states import ItemStatus, Verdict

if TYPE_CHECKING:
    from shared.client.client import Client

INCOMPLETE = 4
_OTHER_FORMATS = (".json", ".xlsx", ".xls", ".tsv")  # a file of this name must not hold CSV


@click.command(
    short_help="every item of a batch with its verdict",
    epilog="Exit status: 0 every item has ended; 4 the batch still runs, or its results broke off.",
)
@click.argument("batch")
@click.option("--format", type=click.Choice(RESULT_FORMATS), help="By the suffix of --output, else csv.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of stdout."
)
@click.option(
    "--status", multiple=True, type=click.Choice([each.value for each in ItemStatus]), help="May be repeated."
)
@click.option(
    "--verdict", multiple=True, type=click.Choice([each.value for each in Verdict]), help="May be repeated."
)
@click.option("--after", metavar="ITEM", help="Only the items behind this one; CSV then has no header line.")
@click.option(
    "--spreadsheet/--no-spreadsheet",
    default=True,
    help="Whether CSV gets a quote before names that a spreadsheet would run as a formula (it does by default).",
)
@service.options
@click.option("--json", "as_json", is_flag=True, help="The same as --format ndjson.")
def results(
    where: service.Where,
    as_json: bool,
    batch: str,
    format: str | None,
    output: Path | None,
    **asked: object,
) -> int:
    """Every item of a batch with its verdict.

    While the batch runs, items without a verdict are in the file too, and the exit status is 4. After a broken
    connection, CSV and NDJSON go on behind the last item that came.
    """
    query = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asked.items() if value
    }
    query["spreadsheet"] = asked["spreadsheet"]
    chosen = "ndjson" if as_json else format
    kind = format_of(output, chosen) if output else chosen or "csv"
    if output:
        check_place(output)
    with service.open_client(where) as client:
        if output:
            whole = save_results(client, batch, kind, output, **query)
        else:
            whole = _copy(client, batch, kind, sys.stdout.buffer, **query)
            sys.stdout.buffer.flush()
    return 0 if whole else INCOMPLETE


def format_of(output: Path, asked: str | None = None) -> str:
    """The format of an output file, by its suffix or as asked; raises Usage where these differ, or for neither."""
    suffix = output.suffix.lower()
    by_suffix = suffix[1:] if suffix[1:] in RESULT_FORMATS else None
    if suffix in _OTHER_FORMATS or not (by_suffix or asked):
        raise service.Usage(f"--output must end in .csv, .ndjson or .parquet, not {output.name!r}")
    if by_suffix and asked and by_suffix != asked:
        raise service.Usage(f"--output {output.name!r} is to hold {by_suffix}, but {asked} is asked for")
    return by_suffix or asked or ""


def check_place(output: Path) -> None:
    """Raise Usage where no file of this name can be written, before anything is sent or read."""
    folder = output.parent
    if not folder.is_dir():
        raise service.Usage(f"--output {output}: there is no folder {folder}")
    if output.is_dir():
        raise service.Usage(f"--output {output} is a folder: name a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise service.Usage(f"--output {output}: no permission to write in {folder}")


def save_results(client: Client, batch_id: str, format: str, output: Path, **asked: object) -> bool:
    """Stream the results into a file that appears whole or not at all; False where the batch still runs."""
    written = output.with_name(f".{output.name}.part")
    try:
        with written.open("wb") as file:
            whole = _copy(client, batch_id, format, file, **asked)
        written.replace(output)
    except OSError as error:
        raise service.Usage(f"{output}: {error.strerror}") from error
    finally:
        written.unlink(missing_ok=True)
    return whole


def _copy(client: Client, batch_id: str, format: str, target: BinaryIO, **asked: object) -> bool:
    with client.results_file(batch_id, format, cut=_cut, **asked) as found:
        for block in found.blocks:
            target.write(block)
    if found.incomplete:
        print(
            f"{batch_id} still runs: these results are not final (gonogo watch {batch_id})", file=sys.stderr
        )
    return not found.incomplete


def _cut(rows: int) -> None:
    print(f"the results broke off: going on after {rows} items", file=sys.stderr, flush=True)
