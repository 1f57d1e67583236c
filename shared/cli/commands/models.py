"""`gonogo models` and `gonogo workers`: what decides, and who runs it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from shared.cli import service
from shared.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.contract.models import ModelPayload


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    models = commands.add_parser("models", help="list, upload and switch model versions")
    actions = models.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="every model version")
    listing.set_defaults(run=_list)
    upload = actions.add_parser("upload", help="upload an artifact")
    upload.add_argument("artifact", type=Path, metavar="FILE")
    upload.set_defaults(run=_upload)
    activate = actions.add_parser("activate", help="let new batches use this version")
    rollback = actions.add_parser("rollback", help="back to the version that was active before")
    for parser, run in ((activate, _activate), (rollback, _rollback)):
        parser.add_argument("model", metavar="MODEL", help="id of a model version")
        parser.set_defaults(run=run)
    workers = commands.add_parser("workers", help="the live workers")
    workers.set_defaults(run=_workers)
    for parser in (listing, upload, activate, rollback, workers):
        service.add_options(parser)


def _show(arguments: argparse.Namespace, versions: Iterable[ModelPayload], *, one: bool = True) -> int:
    found = list(versions)
    if arguments.json:
        print_json(found[0] if one else found)
        return 0
    rows = [
        (
            "*" if version["active"] else "",
            version["id"],
            version["name"],
            version["operating_point"]["threshold"],
            version["sha256"][:16],
            version["created_at"],
        )
        for version in found
    ]
    print_table(["", "id", "name", "threshold", "sha256", "created"], rows)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        return _show(arguments, client.models(), one=False)


def _upload(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        return _show(arguments, [client.upload_model(arguments.artifact)])


def _activate(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        return _show(arguments, [client.activate_model(arguments.model)])


def _rollback(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        return _show(arguments, [client.rollback_model(arguments.model)])


def _workers(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        found = list(client.workers())
    if arguments.json:
        print_json(found)
        return 0
    rows = [
        (one["host"], one["pid"], ",".join(one["lanes"]), one["engine"], one["device"], one["items"],
         one["last_seen_at"])
        for one in found
    ]  # fmt: skip
    print_table(["host", "pid", "lanes", "engine", "device", "items", "last seen"], rows)
    return 0
