"""`python -m shared.migrations`: the database at its newest revision, shared secrets, shipped models."""

from shared import keys, model_versions
from shared.blobs import BlobStore
from shared.db import Database
from shared.migrations import migrate
from shared.settings import Settings

settings = Settings.from_env()
settings.data_dir.mkdir(parents=True, exist_ok=True)
database = Database(settings.database)
migrate(database)
with database.write() as connection:
    keys.service_secret(connection, "session")
model_versions.register_shipped(database, BlobStore(settings.blobs))
database.dispose()
