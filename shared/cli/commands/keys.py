"""`gonogo keys`: API keys over the service, and keys made straight in the database of an installation."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from shared.cli import moments, service
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.output import print_json, print_table
from shared.contract.scopes import DEFAULT_SCOPES, SCOPES
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.client.client import Client
    from shared.contract.keys import ApiKeyPayload

_FIRST_TENANT = "default"
_tenant = click.option("--tenant", help="As an operator: keys of this tenant; * is every tenant.")
_expires = click.option(
    "--expires",
    type=moments.expiry,
    metavar="WHEN",
    help=f"When the key ends: {moments.DURATION} from now, a day, or an RFC 3339 time. Without it, never.",
)


@click.group(short_help="list, create, rotate and delete API keys")
def keys() -> None:
    """List, create, rotate and delete API keys."""


@keys.command("list")
@_tenant
@service.options
@service.as_json
def list_(where: service.Where, as_json: bool, tenant: str | None) -> None:
    """The keys of this key's tenant, or with --tenant of another one."""
    with service.open_client(where) as client:
        found = list(client.keys(tenant=tenant))
    if as_json:
        print_json(found)
        return
    titles = ["id", "name", "tenant", "scopes", "created", "last used", "expires", "replaced by"]
    print_table(titles, [_row(key) for key in found])


def _row(key: ApiKeyPayload) -> tuple[object, ...]:
    scopes = ",".join(key["scopes"])
    made, used, ends = key["created_at"], key["last_used_at"], key["expires_at"]
    return (key["id"], key["name"], key["tenant"], scopes, made, used, ends, key["replaced_by"])


@keys.command()
@click.option("--name", help="The purpose of the key; `admin` for the first key of an installation.")
@click.option(
    "--scopes",
    help=f"Some of {','.join(SCOPES)}. Default: {','.join(DEFAULT_SCOPES)}; for the first key of an installation, all.",
)
@click.option(
    "--tenant",
    help="Make it for this tenant, new or not: straight in the database, on a machine with the service's settings or "
    "data dir, or with --url and an operator's key over the service.",
)
@_expires
@service.options
@service.as_json
def create(
    where: service.Where,
    as_json: bool,
    name: str | None,
    scopes: str | None,
    tenant: str | None,
    expires: str | None,
) -> int:
    """A new key; its secret is printed once.

    Straight in the database where the service of --data-dir (or of the settings) does not run: it need never have
    run. The first key of such an installation may do everything and is kept in DATA_DIR/admin-key.
    """
    wanted = _scopes(scopes)
    if (settings := _installation(where, tenant)) is not None:
        from shared.cli.embedded import made_key

        asked = made_key.Asked(
            tenant=_FIRST_TENANT if tenant is None else tenant,
            name=name,
            scopes=wanted,
            expires_at=expires,
            may_be_first=tenant is None,
        )
        _print(made_key.make(settings, asked), as_json)
        return 0
    if name is None:
        raise service.Usage("give the key a name: --name")
    with service.open_client(where) as client:
        made = client.create_key(name, wanted or DEFAULT_SCOPES, expires_at=expires, tenant=tenant)
    _print(made, as_json)
    return 0


def _scopes(text: str | None) -> list[str] | None:
    if text is None:
        return None
    wanted = [scope.strip() for scope in text.split(",") if scope.strip()]
    if unknown := sorted(set(wanted) - set(SCOPES)):
        raise service.Usage(f"no such scope: {', '.join(unknown)} (there are {', '.join(SCOPES)})")
    if not wanted:
        raise service.Usage(f"name at least one scope (there are {', '.join(SCOPES)})")
    return wanted


def _installation(where: service.Where, tenant: str | None) -> Settings | None:
    """The installation in whose database the key is made; None where the service is to make it."""
    if where.url or where.key:
        return None
    settings = Settings.from_env()
    if where.data_dir is not None:
        settings = replace(settings, data_dir=where.data_dir)
    settings = replace(settings, data_dir=settings.data_dir.expanduser().resolve())
    named = where.data_dir is not None or settings.database_url or os.environ.get("GONOGO_DATA_DIR")
    if tenant is not None:
        # By the default name alone, a stack must be there.
        if not (named or data_dirs.admin_key(settings.data_dir)):
            raise service.Usage(
                f"no stack in {settings.data_dir}: give --data-dir, or set GONOGO_DATABASE_URL"
            )
        return settings
    asks_service = where.data_dir is None and (
        os.environ.get("GONOGO_URL") or os.environ.get("GONOGO_API_KEY")
    )
    return settings if named and not asks_service and not data_dirs.is_locked(settings.data_dir) else None


@keys.command()
@click.argument("key_id")
@click.option(
    "--grace",
    type=moments.duration,
    metavar="DURATION",
    help=f"How long the old key lives on ({moments.DURATION}); 1d without it.",
)
@click.option("--at-once", is_flag=True, help="End the old key and its sessions now.")
@_expires
@_tenant
@service.options
@service.as_json
def rotate(
    where: service.Where,
    as_json: bool,
    key_id: str,
    grace: int | None,
    at_once: bool,
    expires: str | None,
    tenant: str | None,
) -> None:
    """Replace a key by a new one with the same name and scopes; the new secret is printed once.

    An admin key that is kept in the data dir is replaced there too.
    """
    if at_once and grace:
        raise service.Usage("--at-once leaves no --grace")
    with service.open_client(where) as client:
        kept = _kept_in(where, client, key_id, tenant)
        made = client.rotate_key(key_id, grace=0 if at_once else grace, expires_at=expires, tenant=tenant)
    if kept is not None:
        data_dirs.keep_admin_key(kept.data_dir, made["secret"])
    _print(made, as_json)


def _kept_in(where: service.Where, client: Client, key_id: str, tenant: str | None) -> Settings | None:
    """The settings whose data dir keeps the secret of this key, if one does."""
    settings = Settings.from_env()
    settings = settings if where.data_dir is None else replace(settings, data_dir=where.data_dir)
    kept = data_dirs.admin_key(settings.data_dir)
    prefixes = {key["id"]: key["prefix"] for key in client.keys(tenant=tenant)} if kept else {}
    is_kept = kept is not None and kept.split("_")[1:2] == [prefixes.get(key_id)]
    return settings if is_kept else None


@keys.command()
@click.argument("key_id")
@_tenant
@service.options
@service.as_json
def delete(where: service.Where, as_json: bool, key_id: str, tenant: str | None) -> None:
    """Revoke a key and end its sessions."""
    with service.open_client(where) as client:
        client.delete_key(key_id, tenant=tenant)
    if as_json:
        print_json({"id": key_id, "deleted": True})


def _print(key: ApiKeyPayload, as_json: bool) -> None:
    print_json(key) if as_json else print(key["secret"])
