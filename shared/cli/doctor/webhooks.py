"""Webhooks that do not arrive: deliveries that were given up, and endpoints that fail or that the service disabled."""

from collections.abc import Iterator

from shared.cli.doctor.findings import Finding
from shared.settings import Settings

_RECENT_S = 86_400.0
_LONG_S = 60.0  # for which an endpoint fails before it is named


def given_up(settings: Settings) -> Iterator[Finding]:
    """Count the deliveries that were given up and those that wait, and name endpoints that take nothing.

    Deliveries of the last day are a problem; older ones are told.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from shared.clock import rfc3339
    from shared.store.engine import Database
    from shared.webhooks import endpoints, lines

    file = settings.sqlite_file
    if file is not None and not file.exists():
        return
    database = Database(settings.database, pool_size=1)
    try:
        with database.read() as connection:
            recent, earlier = lines.given_up(connection, _RECENT_S)
            pending, oldest_s = lines.unsent(connection)
            ill = endpoints.ill(connection, _LONG_S)
    except SQLAlchemyError:
        return  # the check of the database says why
    finally:
        database.dispose()
    detail = f"{recent} deliveries given up in the last day, {earlier} before"
    if pending:
        detail += f"; {pending} pending, the oldest for {oldest_s:.0f} s"
    if recent:
        mend = (
            "`gonogo webhooks deliveries --status exhausted` shows the answers: correct the receiver or the URL, then "
            "`gonogo webhooks redeliver`"
        )
        yield Finding("webhooks", "problem", detail, mend)
    else:
        yield Finding("webhooks", "ok", detail)
    for row in ill:
        state = (
            f"was disabled ({row.disabled_reason})"
            if not row.enabled
            else f"failed {row.failures} times in a row, since {rfc3339(row.failing_since)}"
        )
        mend = "correct the receiver" + (
            "" if row.enabled else f", then `gonogo webhooks update {row.id} --enable`"
        )
        yield Finding("webhooks", "problem", f"endpoint {row.id} of tenant {row.tenant} {state}", mend)
