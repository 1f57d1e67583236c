"""The running service: it answers, takes the key, and has live workers."""

from collections.abc import Iterator

from shared.cli.doctor.findings import Finding, State
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.service import Usage, Where, open_client
from shared.settings import Settings


def service(where: Where, settings: Settings) -> Iterator[Finding]:
    """Ask the service for its live workers and its readiness."""
    from shared.client.client import ApiError, Unreachable

    runs_here = data_dirs.is_locked(settings.data_dir)
    try:
        client = open_client(where, patience_s=0.0)
    except Usage as error:
        yield Finding("service", "skipped", str(error), "`gonogo up` makes the first key")
        return
    with client:
        try:
            workers = list(client.workers())
        except Unreachable as error:
            state: State = "problem" if runs_here or where.url else "skipped"
            mend = "see logs/web.log, or give --url" if runs_here else "`gonogo up` starts it"
            yield Finding("service", state, str(error), mend)
            return
        except ApiError as error:
            mend = "use a key of this service" if error.status in {401, 403} else "see logs/web.log"
            yield Finding("service", "problem", str(error), mend)
            return
        yield Finding("service", "ok", f"{client.url} answers and takes the key")
        lanes = sorted({lane for worker in workers for lane in worker["lanes"]})
        if not workers:
            yield Finding("workers", "problem", "no live worker", "see logs/worker-bulk.log")
        else:
            yield Finding("workers", "ok", f"{len(workers)} live, lanes {', '.join(lanes)}")
        if client.ready():
            yield Finding("ready", "ok", "/readyz")
            waiting = client.readiness().get("blocked", "ok")
            if waiting != "ok":
                mend = "each batch says why in `blocked`: mend that, or cancel it"
                yield Finding("blocked", "problem", waiting, mend)
        else:
            yield Finding("ready", "problem", "/readyz says no", "see the lines above and DATA_DIR/logs")
