"""Webhook deliveries that were given up: a receiver took nothing, and its tries are over."""

from collections.abc import Iterator

from shared.cli.doctor.findings import Finding
from shared.settings import Settings

_RECENT_S = 86_400.0


def given_up(settings: Settings) -> Iterator[Finding]:
    """Count the deliveries that were given up. Those of the last day are a problem; older ones are told."""
    from sqlalchemy.exc import SQLAlchemyError

    from shared.store.engine import Database
    from shared.webhooks import lines

    file = settings.sqlite_file
    if file is not None and not file.exists():
        return
    database = Database(settings.database, pool_size=1)
    try:
        with database.read() as connection:
            recent, earlier = lines.given_up(connection, _RECENT_S)
    except SQLAlchemyError:
        return  # the check of the database says why
    finally:
        database.dispose()
    detail = f"{recent} deliveries given up in the last day, {earlier} before"
    if recent:
        mend = "the batch's `warnings` hold the last answer: correct the receiver or the URL"
        yield Finding("webhooks", "problem", detail, mend)
    else:
        yield Finding("webhooks", "ok", detail)
