"""`python -m shared.store.migrations`: the database at its newest revision, shared secrets, shipped models."""

from shared.access import keys
from shared.blobs.store import BlobStore
from shared.registry import versions
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.migrations import migrate

settings = Settings.from_env()
settings.data_dir.mkdir(parents=True, exist_ok=True)
database = Database(settings.database)
migrate(database)
with database.write() as connection:
    keys.service_secret(connection, "session")
versions.register_shipped(database, BlobStore(settings.blobs))
database.dispose()
