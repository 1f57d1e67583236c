"""`python -m worker ROLE`: bulk, interactive, webhooks or sweep. The first three become a Celery worker."""

import argparse
import os

from shared.broker import queues
from shared.logs import configure
from shared.settings import Settings

# queues served, and lanes among them. Thumbnails go where a person waits; receivers may be slow, so they wait apart.
_ROLES = {
    "bulk": ([queues.LANES[1], queues.LANES[2]], "normal,low"),
    "interactive": ([queues.LANES[0], queues.UPKEEP], "interactive"),
    "webhooks": ([queues.WEBHOOKS], ""),
    "all": ([*queues.LANES, queues.UPKEEP], "interactive,normal,low"),
}


def main() -> None:
    """Start one role; settings come from the environment."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("role", choices=[*_ROLES, "sweep"])
    parser.add_argument("--concurrency", type=int, default=None)
    asked = parser.parse_args()
    settings = Settings.from_env()
    if asked.role == "sweep":
        from worker.upkeep import sweep

        configure(settings.log_level)
        sweep.run(settings, queues.celery_app(settings))
        return
    served, lanes = _ROLES[asked.role]
    # Two deliverers, since one receiver that answers slowly would hold up all the others.
    usual = {"bulk": settings.workers, "all": settings.workers, "webhooks": 2}
    concurrency = asked.concurrency or usual.get(asked.role, 1)
    os.environ["GONOGO_LANES"] = lanes
    # prefork: only it honours time limits. SIGTERM is its warm shutdown: the chunks in hand are finished, and who
    # sends it bounds that by its own grace (`gonogo up` by drain_s). Its soft shutdown would sleep the time out.
    command = [
        "worker", "--pool", "prefork",
        "--concurrency", str(concurrency), "--queues", ",".join(served), "--hostname", f"{asked.role}-{os.getpid()}@%h",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", settings.log_level,
    ]  # fmt: skip
    from worker.app import app

    app.worker_main(command)


if __name__ == "__main__":
    main()
