"""`gonogo keys`: the API keys of one tenant; with --tenant, a key of any tenant straight from the database."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import click

from shared.cli import service
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import stack
from shared.cli.output import print_json, print_table
from shared.contract.scopes import DEFAULT_SCOPES, SCOPES
from shared.settings import Settings


@click.group(short_help="list, create and delete API keys")
def keys() -> None:
    """List, create and delete API keys."""


@keys.command("list")
@service.options
@service.as_json
def list_(where: service.Where, as_json: bool) -> None:
    """The keys of this key's tenant."""
    with service.open_client(where) as client:
        found = list(client.keys())
    if as_json:
        print_json(found)
        return
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


@keys.command()
@click.option("--name", required=True, help="The purpose of the key.")
@click.option(
    "--scopes", default=",".join(DEFAULT_SCOPES), show_default=True, help=f"Some of {','.join(SCOPES)}."
)
@click.option(
    "--tenant",
    help="Make it for this tenant, new or not, straight in the database: for the operator, on a machine with "
    "the service's settings or data dir. The service need not run, and need never have run.",
)
@service.options
@service.as_json
def create(where: service.Where, as_json: bool, name: str, scopes: str, tenant: str | None) -> int:
    """A new key; its secret is printed once."""
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    if unknown := sorted(set(wanted) - set(SCOPES)):
        raise service.Usage(f"no such scope: {', '.join(unknown)} (there are {', '.join(SCOPES)})")
    if not wanted:
        raise service.Usage(f"name at least one scope (there are {', '.join(SCOPES)})")
    if tenant is not None:
        return _create_in_database(where.data_dir, tenant, name, wanted, as_json=as_json)
    with service.open_client(where) as client:
        key = client.create_key(name, wanted)
    print_json(key) if as_json else print(key["secret"])
    return 0


def _create_in_database(
    folder: Path | None, tenant: str, name: str, scopes: list[str], *, as_json: bool
) -> int:
    """Prepare the database where that is due, and make a key in it."""
    from shared.access.keys import InvalidTenant, check_tenant  # `--help` needs no database library

    try:
        check_tenant(tenant)
    except InvalidTenant as error:
        raise service.Usage(f"--tenant: {error.detail}") from error
    settings = Settings.from_env()
    if folder is not None:
        settings = replace(settings, data_dir=folder.expanduser().resolve())
    elif not (
        settings.database_url
        or os.environ.get("GONOGO_DATA_DIR")
        or data_dirs.admin_key(settings.data_dir)  # by the default name alone, a stack must be there
    ):
        raise service.Usage(f"no stack in {settings.data_dir}: give --data-dir, or set GONOGO_DATABASE_URL")
    environment = stack.environment(settings)
    prepared = subprocess.run(stack.MIGRATIONS, env=environment, check=False)
    if prepared.returncode != 0:
        return prepared.returncode
    asked = [
        f"--tenant={tenant}",
        f"--name={name}",
        "--scopes",
        ",".join(scopes),
    ]  # values may begin with a dash
    asked += ["--json"] if as_json else []
    return subprocess.run([*stack.CREATE_KEY, *asked], env=environment, check=False).returncode


@keys.command()
@click.argument("key_id")
@service.options
@service.as_json
def delete(where: service.Where, as_json: bool, key_id: str) -> None:
    """Revoke a key."""
    with service.open_client(where) as client:
        client.delete_key(key_id)
    if as_json:
        print_json({"id": key_id, "deleted": True})
