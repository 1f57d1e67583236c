"""The doctor's checks in order. Each check is bounded in time, changes nothing, and says how to mend a problem."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from shared.cli import service
from shared.cli.doctor import broker, database, model, packages, places, running, trail, webhooks
from shared.cli.doctor.findings import Finding
from shared.errors import GonogoError
from shared.settings import Settings


def look_at_all(where: service.Where) -> Iterator[Finding]:
    """Run every check; one that fails in an unforeseen way becomes a problem and stops no other."""
    yield from packages.packages()
    try:
        settings = Settings.from_env()
    except GonogoError as error:
        yield Finding("settings", "problem", str(error), "correct or unset the variable")
        return
    yield Finding("settings", "ok", "every GONOGO_ variable is known and of its type")
    if where.data_dir:
        settings = replace(settings, data_dir=where.data_dir)
    settings = replace(settings, data_dir=settings.data_dir.expanduser().resolve())
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("data dir", lambda: places.data_dir(settings)),
        ("disk", lambda: places.disk(settings)),
        ("open files", places.open_files),
        ("database", lambda: database.database(settings)),
        ("webhooks", lambda: webhooks.given_up(settings)),
        ("audit", lambda: trail.trail(settings)),
        ("broker", lambda: broker.broker(settings)),
        ("model", model.shipped),
        ("service", lambda: running.service(where, settings)),
    ]
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:
            yield Finding(name, "problem", f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0])
