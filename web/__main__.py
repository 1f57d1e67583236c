"""`python -m web keys create …`: what an operator does without a key, on the database itself."""

import argparse

from shared.access import keys
from shared.settings import Settings
from shared.store.engine import Database


def main() -> None:
    """Make an API key and print its secret, once."""
    parser = argparse.ArgumentParser(prog="python -m web")
    commands = parser.add_subparsers(required=True)
    key_commands = commands.add_parser("keys").add_subparsers(required=True)
    create = key_commands.add_parser("create", help="make a key and print its secret")
    create.add_argument("--tenant", required=True)
    create.add_argument("--name", required=True)
    create.add_argument("--scopes", default="submit,read")
    asked = parser.parse_args()
    database = Database(Settings.from_env().database)
    with database.write() as connection:
        _, secret = keys.create_key(
            connection, tenant=asked.tenant, name=asked.name, scopes=asked.scopes.split(",")
        )
    print(secret)  # noqa: T201 - the command's answer


main()
