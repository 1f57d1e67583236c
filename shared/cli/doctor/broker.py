"""The broker: it answers, and keeps every message when its memory is full."""

from collections.abc import Iterator

from shared.cli.doctor.findings import Finding
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import queue_log
from shared.errors import SettingsError
from shared.settings import Settings

_PATIENCE_S = 3


def broker(settings: Settings) -> Iterator[Finding]:
    """Ask the broker for its eviction policy."""
    from shared.broker import address, checks
    from shared.broker.connection import UNREACHABLE

    wired, socket = data_dirs.with_broker(settings)
    if socket is not None and not data_dirs.is_locked(settings.data_dir):
        if (trouble := queue_log.damage(settings)) is not None:
            mend = "`gonogo doctor --repair` and `gonogo up` set it aside: queued work is announced again"
            yield Finding("queue's log", "problem", trouble, mend)
        yield Finding("broker", "skipped", "embedded, and the stack does not run", "`gonogo up` starts it")
        return
    try:
        named = address.read(wired.broker)
    except SettingsError as error:
        yield Finding("broker", "problem", str(error), "correct GONOGO_BROKER_URL")
        return
    shown, client = named.shown, named.client(_PATIENCE_S)
    try:
        found = checks.memory(client)
    except UNREACHABLE as error:
        mend = "see logs/valkey.log" if socket else "start it, or correct GONOGO_BROKER_URL"
        yield Finding("broker", "problem", f"{shown}: {checks.permanent(error) or error}", mend)
        return
    finally:
        client.close()
    detail = f"{shown}, policy {found.policy or 'not shown'}"
    if found.evicts:
        mend = "CONFIG SET maxmemory-policy noeviction"
        yield Finding("broker", "problem", f"{detail}: {found.evicts}", mend)
    elif found.full:
        yield Finding("broker", "problem", f"{detail}: {found.full}", "give it more memory")
    else:
        yield Finding("broker", "ok", detail)
