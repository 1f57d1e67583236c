"""`gonogo keys`: the API keys of one tenant; with --tenant, the first key of a new one."""

import argparse
import os
import subprocess
import sys

from shared.cli import service
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.output import print_json, print_table
from shared.settings import Settings

SCOPES = ("submit", "read", "review", "admin")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser("keys", help="list, create and delete API keys")
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the keys of this key's tenant")
    listing.set_defaults(run=_list)
    create = actions.add_parser("create", help="a new key; its secret is printed once")
    create.add_argument("--name", required=True, help="what it is for")
    create.add_argument("--scopes", default="submit,read", help=f"of {','.join(SCOPES)} (submit,read)")
    create.add_argument(
        "--tenant",
        help="make it for this tenant, new or not, straight in the database: for the operator, on a "
        "machine with the service's settings",
    )
    create.set_defaults(run=_create)
    delete = actions.add_parser("delete", help="revoke a key")
    delete.add_argument("id", metavar="KEY_ID")
    delete.set_defaults(run=_delete)
    for parser in (listing, create, delete):
        service.add_options(parser)


def _list(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        found = list(client.keys())
    if arguments.json:
        print_json(found)
        return 0
    rows = [
        (
            key["id"],
            key["name"],
            key["tenant"],
            ",".join(key["scopes"]),
            key["created_at"],
            key["last_used_at"],
        )
        for key in found
    ]
    print_table(["id", "name", "tenant", "scopes", "created", "last used"], rows)
    return 0


def _create(arguments: argparse.Namespace) -> int:
    scopes = [scope.strip() for scope in arguments.scopes.split(",") if scope.strip()]
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise service.Usage(f"no such scope: {', '.join(unknown)} (there are {', '.join(SCOPES)})")
    if arguments.tenant:
        return _create_in_database(arguments, scopes)
    with service.open_client(arguments) as client:
        key = client.create_key(arguments.name, scopes)
    print_json(key) if arguments.json else print(key["secret"])
    return 0


def _create_in_database(arguments: argparse.Namespace, scopes: list[str]) -> int:
    settings = Settings.from_env()
    environment = dict(os.environ)
    if arguments.data_dir:
        environment["GONOGO_DATA_DIR"] = str(arguments.data_dir.resolve())
    elif not settings.database_url and not data_dirs.admin_key(settings.data_dir):
        raise service.Usage(f"no stack in {settings.data_dir}: give --data-dir, or set GONOGO_DATABASE_URL")
    asked = ["--tenant", arguments.tenant, "--name", arguments.name, "--scopes", ",".join(scopes)]
    return subprocess.run(
        [sys.executable, "-m", "web", "keys", "create", *asked], env=environment, check=False
    ).returncode


def _delete(arguments: argparse.Namespace) -> int:
    with service.open_client(arguments) as client:
        client.delete_key(arguments.id)
    if arguments.json:
        print_json({"id": arguments.id, "deleted": True})
    return 0
