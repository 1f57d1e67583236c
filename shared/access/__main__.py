"""`python -m shared.access --tenant TENANT --name NAME`: make a key in the database itself, without having one."""

import argparse
import json
import sys

from shared.access import keys
from shared.contract.keys import key_payload
from shared.contract.scopes import DEFAULT_SCOPES
from shared.errors import GonogoError
from shared.settings import Settings
from shared.store.engine import Database


def main() -> int:
    """Make an API key and print its secret, or with --json the key as the API answers it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m shared.access", description="Make an API key.")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scopes", default=",".join(DEFAULT_SCOPES))
    parser.add_argument("--json", action="store_true", help="print the key as JSON")
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
