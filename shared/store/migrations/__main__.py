"""`python -m shared.store.migrations`: the database at its newest revision, and the shipped models."""

from sqlalchemy.exc import DBAPIError

from shared.blobs.store import BlobStore
from shared.errors import GonogoError
from shared.private_files import close_to_strangers
from shared.registry import versions
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.migrations import migrate


def main() -> None:
    """Prepare the installation that the environment names."""
    settings = Settings.from_env()
    close_to_strangers(settings.data_dir)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database)
    migrate(database)
    versions.register_shipped(database, BlobStore(settings.blobs))
    database.dispose()


try:
    main()
except GonogoError as error:
    raise SystemExit(f"gonogo: {error}") from error
except DBAPIError as error:
    said = str(error.orig).strip().partition("\n")[0]
    raise SystemExit(f"gonogo: the database of GONOGO_DATABASE_URL: {said}") from error
