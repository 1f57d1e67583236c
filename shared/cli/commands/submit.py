"""`gonogo submit`: send pictures, and perhaps wait for their verdicts."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.cli import service
from shared.cli.commands.batches import describe, follow, outcome_status, save_results
from shared.cli.output import Progress, megabytes, print_json

if TYPE_CHECKING:
    from shared.client.client import Options


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "submit",
        help="send pictures as one batch",
        description="Send pictures (files, or folders with all below them) or one zip or tar as one batch.",
        epilog="Exit status: 0 accepted (with --wait: every item has its verdict); 1 refused; 2 unusable "
        "input; 3 no service; 4 items were refused or failed, or the batch did not complete.",
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="pictures, folders, or one zip, tar or tar.gz"
    )
    parser.add_argument("--name", help="metadata `name` of the batch")
    parser.add_argument(
        "--metadata", action="append", default=[], metavar="KEY=VALUE", help="may be repeated"
    )
    parser.add_argument("--priority", choices=["interactive", "normal", "low"])
    parser.add_argument("--model", help="model version (id or name) instead of the active one")
    parser.add_argument("--webhook", metavar="URL", help="where to tell when the batch has finished")
    parser.add_argument("--wait", action="store_true", help="wait until it has finished")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="with --wait: give up waiting after this"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write .csv or .ndjson when finished (waits)"
    )
    service.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    options = _options(arguments)
    if arguments.output is not None and arguments.output.suffix not in {".csv", ".ndjson"}:
        raise service.Usage(f"--output must end in .csv or .ndjson, not {arguments.output.name!r}")
    progress, began = Progress(), time.monotonic()

    def sent(count: int, total: int) -> None:
        speed = count / max(time.monotonic() - began, 0.001)
        text = f"sent {megabytes(count)} of {megabytes(total)}, {megabytes(speed)}/s"
        progress.show(count / total, text, final=count == total)

    with service.open_client(arguments, patience_s=60.0) as client:
        batch = client.submit(arguments.paths, options, progress=sent)
        if arguments.wait or arguments.output is not None:
            print(f"batch {batch['id']}: {batch['counts']['total']} items", file=sys.stderr)
            batch = follow(client, batch["id"], timeout_s=arguments.timeout)
        if arguments.output is not None:
            save_results(client, batch["id"], arguments.output.suffix[1:], arguments.output)
    if arguments.json:
        print_json(batch)
    else:
        print(describe(batch))
    return outcome_status(batch)


def _options(arguments: argparse.Namespace) -> Options:
    metadata: dict[str, Any] = {"name": arguments.name} if arguments.name else {}
    for pair in arguments.metadata:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise service.Usage(f"--metadata takes KEY=VALUE, not {pair!r}")
        metadata[key] = value
    options: Options = {}
    if metadata:
        options["metadata"] = metadata
    if arguments.priority:
        options["priority"] = arguments.priority
    if arguments.model:
        options["model"] = arguments.model
    if arguments.webhook:
        options["webhook"] = {"url": arguments.webhook}
    return options
