"""The audit trail: every chain of entries is whole."""

from collections.abc import Iterator
from itertools import islice

from shared.cli.doctor.findings import Finding
from shared.settings import Settings

_NAMED = 20
_MEND = "compare with a backup, and ask who may write to the database"


def trail(settings: Settings) -> Iterator[Finding]:
    """Verify the hashes of the whole trail; an entry that was changed, removed or inserted is named."""
    file = settings.sqlite_file
    if file is not None and not file.exists():
        yield Finding("audit", "skipped", f"{file} does not exist yet", "`gonogo up` makes it")
        return
    import sqlalchemy

    from shared.access import audit_chain
    from shared.store.engine import Database

    database = Database(settings.database, pool_size=1)
    try:
        with database.read() as connection:
            if not sqlalchemy.inspect(connection).has_table("audit_entries"):
                yield Finding("audit", "skipped", "the database has an older schema", "gonogo migrate")
                return
            faults = list(islice(audit_chain.verify(connection), _NAMED + 1))
            entries = audit_chain.count(connection)
    finally:
        database.dispose()
    for fault in faults[:_NAMED]:
        yield Finding("audit", "problem", str(fault), _MEND)
    if len(faults) > _NAMED:
        yield Finding("audit", "problem", "more entries than these do not fit their chains", _MEND)
    if not faults:
        yield Finding("audit", "ok", f"{entries} entries, each chained to the one before")
