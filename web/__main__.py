"""`python -m web keys create …`: an operator makes a key without having one, on the database itself."""

import argparse
import json
import sys

from shared.access import keys
from shared.contract.keys import key_payload
from shared.errors import GonogoError
from shared.settings import Settings
from shared.store.engine import Database


def main() -> int:
    """Make an API key and print its secret, or with --json the key as the API answers it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m web")
    commands = parser.add_subparsers(required=True)
    key_commands = commands.add_parser("keys").add_subparsers(required=True)
    create = key_commands.add_parser("create", help="make a key and print its secret")
    create.add_argument("--tenant", required=True)
    create.add_argument("--name", required=True)
    create.add_argument("--scopes", default="submit,read")
    create.add_argument("--json", action="store_true", help="print the key as JSON")
    asked = parser.parse_args()
    try:
        database = Database(Settings.from_env().database)
        with database.write() as connection:
            identifier, secret = keys.create_key(
                connection, tenant=asked.tenant, name=asked.name, scopes=asked.scopes.split(",")
            )
            row = keys.get_key(connection, identifier)
    except GonogoError as error:
        print(f"gonogo: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return 2
    assert row is not None
    shown = json.dumps(key_payload(row, secret), indent=2, ensure_ascii=False) if asked.json else secret
    print(shown)  # noqa: T201 - the command's answer
    return 0


sys.exit(main())
