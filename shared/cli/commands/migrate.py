"""`gonogo migrate`: bring the database to the newest schema."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click

from shared.cli import service
from shared.cli.embedded import private, stack
from shared.settings import Settings


@click.command(short_help="bring the database to the newest schema")
@service.data_dir_option("The data dir whose database it is (GONOGO_DATA_DIR, gonogo-data).")
def migrate(data_dir: Path | None) -> int:
    """Make the database, or bring it to the newest schema, as `gonogo up` does at each start.

    Use it before the first start of a service that is not run by `gonogo up`, and after each upgrade of one.
    GONOGO_DATABASE_URL names another database than the data dir's.
    """
    settings = Settings.from_env()
    if data_dir is not None:
        settings = replace(settings, data_dir=data_dir)
    settings = replace(settings, data_dir=settings.data_dir.expanduser().resolve())
    if not settings.database_url:
        for line in private.prepare(settings.data_dir):
            print(line, file=sys.stderr)
    return subprocess.run(stack.MIGRATIONS, env=stack.environment(settings), check=False).returncode
