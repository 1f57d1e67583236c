"""`gonogo status`, `watch`, `results` and `cancel`."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shared.cli import service
from shared.cli.output import Progress, print_json, print_table

if TYPE_CHECKING:
    from shared.client.client import Client
    from shared.contract.batches import BatchPayload

_INCOMPLETE = 4


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = commands.add_parser("status", help="one batch, or the latest ones")
    status.add_argument("batch", nargs="?", metavar="BATCH")
    status.add_argument("--status", help="list only batches in this state")
    status.add_argument("--limit", type=int, default=20, help="how many to list (20)")
    status.set_defaults(run=_status)
    watch = commands.add_parser(
        "watch",
        help="follow a batch until it has finished",
        epilog="Exit status: 0 every item has its verdict; 4 items failed or the batch did not complete.",
    )
    watch.add_argument("batch", metavar="BATCH")
    watch.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this")
    watch.set_defaults(run=_watch)
    results = commands.add_parser("results", help="every item of a batch with its verdict")
    results.add_argument("batch", metavar="BATCH")
    results.add_argument("--format", choices=["csv", "ndjson"], help="(by --output, else csv)")
    results.add_argument("--output", type=Path, metavar="FILE", help="write here instead of stdout")
    results.set_defaults(run=_results)
    cancel = commands.add_parser("cancel", help="stop a batch")
    cancel.add_argument("batch", metavar="BATCH")
    cancel.set_defaults(run=_cancel)
    for parser in (status, watch, results, cancel):
        service.add_options(parser)


def describe(batch: BatchPayload) -> str:
    """A batch in a few lines, for a person."""
    counts, verdicts = batch["counts"], batch["verdicts"]
    open_items = counts["queued"] + counts["processing"]
    lines = [
        f"batch    {batch['id']}  {batch['status']}" + (f" ({batch['outcome']})" if batch["outcome"] else ""),
        f"items    {counts['total']}: {counts['succeeded']} decided, {open_items} open, "
        f"{counts['failed']} failed, {counts['cancelled']} cancelled, {counts['expired']} expired",
        "verdicts " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()),
    ]
    if batch["model"]:
        lines.append(f"model    {batch['model']['name']}  {batch['model']['id']}")
    if page := batch["links"].get("page"):
        lines.append(f"page     {page}")
    return "\n".join(lines)


def outcome_status(batch: BatchPayload) -> int:
    """The exit status that a batch deserves: 4 for a failed item or a batch that ended any other way."""
    counts = batch["counts"]
    lost = counts["failed"] + counts["cancelled"] + counts["expired"]
    return _INCOMPLETE if lost or batch["status"] in {"cancelling", "cancelled", "expired", "failed"} else 0


def progress_text(batch: BatchPayload) -> str:
    """One line: how far, which verdicts, how fast, how long still."""
    counts, verdicts, eta = batch["counts"], batch["verdicts"], batch["eta"]
    done = counts["total"] - counts["queued"] - counts["processing"]
    text = (
        f"{done}/{counts['total']}  {verdicts['defect']} defect  {verdicts['no_defect']} no_defect  "
        f"{verdicts['review']} review"
    )
    if counts["failed"]:
        text += f"  {counts['failed']} failed"
    if eta and eta["items_per_second"]:
        text += f"  {eta['items_per_second']:.1f} images/s"
        if done < counts["total"]:
            text += f"  ETA {(counts['total'] - done) / eta['items_per_second']:.0f} s"
    return text


def follow(client: Client, batch_id: str, *, timeout_s: float | None = None) -> BatchPayload:
    """Show a batch's progress on stderr until it has finished; raises TimeoutError."""
    progress = Progress()
    for batch in client.watch(batch_id, timeout_s=timeout_s, hold_s=5.0):
        progress.show(batch["progress"], progress_text(batch))
    progress.show(batch["progress"], progress_text(batch), final=True)
    return batch


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


def _status(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        if arguments.batch:
            batch = client.batch(arguments.batch)
            print_json(batch) if arguments.json else print(describe(batch))
            return 0
        found = client.batches(status=arguments.status, limit=min(max(arguments.limit, 1), 100))
        latest = list(itertools.islice(found, arguments.limit))
    if arguments.json:
        print_json(latest)
        return 0
    print_table(
        ["batch", "status", "done", "items", "defect", "review", "failed", "created"],
        [
            (
                batch["id"],
                batch["status"],
                f"{batch['progress']:.0%}",
                batch["counts"]["total"],
                batch["verdicts"]["defect"],
                batch["verdicts"]["review"],
                batch["counts"]["failed"],
                batch["created_at"],
            )
            for batch in latest
        ],
    )
    return 0


def _watch(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments, patience_s=60.0) as client:
        if not arguments.json:
            batch = follow(client, arguments.batch, timeout_s=arguments.timeout)
            print(describe(batch))
            return outcome_status(batch)
        for batch in client.watch(arguments.batch, timeout_s=arguments.timeout):
            print(json.dumps(batch), flush=True)  # one line a change
        return outcome_status(batch)


def _results(arguments: argparse.Namespace) -> int:
    suffix = arguments.output.suffix[1:] if arguments.output else ""
    chosen = "ndjson" if arguments.json else arguments.format
    format = chosen or (suffix if suffix in {"csv", "ndjson"} else "csv")
    with service.open_client(arguments) as client:
        if arguments.output:
            save_results(client, arguments.batch, format, arguments.output)
            return 0
        for block in client.results_blocks(arguments.batch, format):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
    return os.EX_OK


def _cancel(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        batch = client.cancel(arguments.batch)
    print_json(batch) if arguments.json else print(describe(batch))
    return 0
