"""`python -m shared.access --tenant TENANT --name NAME`: make a key in the database itself, without having one."""

import argparse
import json
import os
import pwd
import sys

from shared.access import audit, keys
from shared.contract.fields import parse_moment
from shared.contract.keys import key_payload
from shared.contract.scopes import DEFAULT_SCOPES, SCOPES
from shared.errors import GonogoError
from shared.programs import starting
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.records import ApiKeyRecord


def main() -> int:
    """Make an API key and print it as JSON, as the API answers it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m shared.access", description="Make an API key.")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--name")
    parser.add_argument("--scopes", help=f"default: {','.join(DEFAULT_SCOPES)}")
    parser.add_argument("--expires-at", help="RFC 3339 with an offset")
    parser.add_argument(
        "--may-be-first", action="store_true", help="the first key is called admin and has every scope"
    )
    asked = parser.parse_args()
    try:
        with starting():
            secret, row = _create(asked)
    except (GonogoError, ValueError) as error:
        print(f"gonogo: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return 2
    print(json.dumps(key_payload(row, secret), indent=2, ensure_ascii=False))  # noqa: T201 - the command's answer
    return 0


def _create(asked: argparse.Namespace) -> tuple[str, ApiKeyRecord]:
    expires_at = None if asked.expires_at is None else parse_moment(asked.expires_at)
    with Database(Settings.from_env().database).write() as connection:
        is_first = asked.may_be_first and not keys.any_key(connection)
        name = asked.name or ("admin" if is_first else None)
        if name is None:
            raise ValueError("this installation has keys: give the new one a name (--name)")
        default = list(SCOPES) if is_first else list(DEFAULT_SCOPES)
        scopes = asked.scopes.split(",") if asked.scopes else default
        identifier, secret = keys.create_key(
            connection, tenant=asked.tenant, name=name, scopes=scopes, expires_at=expires_at
        )
        row = keys.get_key(connection, identifier, expired=True)
        assert row is not None
        audit.append(
            connection, audit.LOCAL, "key.create", tenant=row.tenant, object_id=row.id, name=row.name,
            scopes=row.scopes, expires_at=asked.expires_at, user=_user(),
        )  # fmt: skip
    return secret, row


def _user() -> str:
    """The name of the user who runs this, or its number where it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
