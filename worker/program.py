"""`python -m worker ROLE`: bulk, interactive, webhooks, fetch, all or sweep. All but sweep are Celery workers."""

import argparse
import multiprocessing
import os
import secrets
from multiprocessing.connection import Connection

from shared.broker import checks, queues
from shared.errors import SettingsError
from shared.logs import configure
from shared.private_files import close_to_strangers
from shared.programs import refused, starting
from shared.settings import Settings

# The queues that each role serves. Thumbnails and whole images are drawn by the role that people wait for, so that a
# reviewer sees them while a batch runs; a heatmap takes a second, and would hold up a prediction there. Deliveries of
# webhooks and fetches of images have a role of their own, since a slow host must not hold up inference, and since no
# other process speaks to hosts that clients name. Shadows come last: a worker takes from its queues in this order.
ROLES = {
    "bulk": (queues.LANES[1], queues.LANES[2], queues.DRAWINGS, queues.SHADOWS),
    "interactive": (queues.LANES[0], queues.UPKEEP),
    "webhooks": (queues.WEBHOOKS, queues.FETCHES),
    "fetch": (queues.FETCHES,),
    "all": (*queues.LANES, queues.UPKEEP, queues.DRAWINGS, queues.SHADOWS),
}


def served(role: str, lanes: str) -> list[str]:
    """The queues of a role, without the lanes that GONOGO_LANES leaves out.

    Raises SettingsError for an unknown lane, or if nothing is left to serve.
    """
    wanted = {lane.strip() for lane in lanes.split(",")} - {""}
    if unknown := wanted - {*queues.LANES}:
        raise SettingsError(f"GONOGO_LANES: no lane {', '.join(sorted(unknown))}; {', '.join(queues.LANES)}")
    left = [queue for queue in ROLES[role] if queue in wanted or queue not in queues.LANES]
    if not {*left} - {queues.DRAWINGS, queues.SHADOWS}:
        raise SettingsError(f"GONOGO_LANES={lanes} leaves the role {role} no lane to serve")
    return left


def _installation(settings: Settings) -> str:
    """The id in the database, read by a child: this process only hands messages on and needs no SQLAlchemy."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_send_installation, args=(settings, there))
    child.start()
    there.close()  # so that the death of the child ends the wait, with EOFError
    try:
        answer = here.recv()
    except EOFError:
        raise SettingsError("the installation's id could not be read from the database") from None
    child.join()
    if isinstance(answer, SettingsError):
        raise answer
    return str(answer)


def _send_installation(settings: Settings, to: Connection) -> None:
    from shared.store.engine import Database, retrying
    from shared.store.installation import named

    try:
        with starting():
            database = Database(settings.database, durable=False, pool_size=1)
            # A server may come later; a file is there, or is named wrongly.
            patience_s = 0.0 if database.is_sqlite else 60.0
            named_ = retrying(lambda: named(settings, database), give_up_after_s=patience_s)
            to.send(named_.installation)
    except SettingsError as error:
        to.send(error)


def one_thread_for_numpy() -> None:
    """Keep NumPy's products on one thread, in this process and its children: call it before NumPy is imported.

    OpenBLAS would start a thread for each core, and these spin while they wait. Two inference processes on two cores
    then do 600 images a second instead of 1,480, because the guard multiplies a small matrix for each micro-batch.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def main() -> None:
    """Start one role; settings come from the environment."""
    one_thread_for_numpy()
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("role", choices=[*ROLES, "sweep"])
    parser.add_argument("--concurrency", type=int, default=None)
    asked = parser.parse_args()
    try:
        with starting():
            settings = Settings.from_env()
            close_to_strangers(settings.data_dir)
            checks.refuse_unusable(settings)
        if asked.role == "sweep":
            from worker.upkeep import sweep

            configure(settings.log_level)
            with starting():
                begun = sweep.Sweep(settings)
            sweep.run(begun)
        else:
            _work(asked.role, settings, asked.concurrency)
    except SettingsError as error:
        raise refused(error) from error


def _work(role: str, settings: Settings, concurrency: int | None) -> None:
    mine = served(role, settings.lanes)
    # A single process for webhooks and fetches, since it has many in hand at once.
    usual = {"bulk": settings.workers, "all": settings.workers}
    concurrency = concurrency or usual.get(role, 1)
    os.environ["GONOGO_INSTALLATION"] = settings.installation or _installation(settings)
    os.environ["GONOGO_LANES"] = ",".join(queue for queue in mine if queue in queues.LANES)
    # prefork: only it honours time limits. SIGTERM begins its warm shutdown, which finishes the chunks in hand; the
    # supervisor bounds it by its own grace (`gonogo up` by drain_s). Celery's soft shutdown would sleep all that time.
    command = [
        "worker", "--pool", "prefork",
        "--concurrency", str(concurrency), "--queues", ",".join(mine),
        "--hostname", f"{role}-{secrets.token_hex(4)}@%h",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", settings.log_level,
    ]  # fmt: skip
    from worker.app import app

    app.worker_main(command)
