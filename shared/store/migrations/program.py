"""`python -m shared.store.migrations`: the database at its newest revision, and the shipped models."""

from shared.blobs.store import BlobStore
from shared.errors import SettingsError
from shared.private_files import close_to_strangers
from shared.programs import starting
from shared.registry import versions
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.migrations.upgrade import migrate, revision


def main() -> None:
    """Prepare the installation that the environment names."""
    try:
        with starting():
            _prepare()
    except SettingsError as error:
        raise SystemExit(f"gonogo: {error}") from error


def _prepare() -> None:
    settings = Settings.from_env()
    close_to_strangers(settings.data_dir)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database, blobs = Database(settings.database), BlobStore(settings.blobs)
    _refuse_lost(database, blobs)
    migrate(database)
    versions.register_shipped(database, blobs)
    database.dispose()


def _refuse_lost(database: Database, blobs: BlobStore) -> None:
    """Raise SettingsError for a new database next to stored images: the sweep would remove every one of them."""
    if revision(database) is None and next(blobs.batch_ids(), None) is not None:
        raise SettingsError(
            f"the database is empty, and {blobs.root} holds the images of another one: restore a backup of it,"
            " correct GONOGO_DATABASE_URL, or move the images away"
        )
