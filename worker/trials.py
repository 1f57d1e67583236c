"""A worker tries an uploaded model version in a child process, and records how the trial ended."""

import logging
import threading

from shared import failpoints
from shared.blobs.store import BlobStore
from shared.registry import trials
from shared.registry.trial import TrialLost, refusal
from shared.settings import Settings
from shared.store.engine import Database, retrying

# How much longer than its trial a claim holds: the time in which the outcome is recorded.
_RECORD_MARGIN_S = 15.0
log = logging.getLogger(__name__)


def begin_trial(database: Database, blobs: BlobStore, settings: Settings, model_id: str) -> None:
    """Try a version in a thread, so that no person waits for the trial in the interactive lane.

    A trial that dies with this process is sent again by the sweep.
    """
    arguments = (database, blobs, settings, model_id)
    threading.Thread(target=try_model, args=arguments, name="trial", daemon=True).start()


def try_model(database: Database, blobs: BlobStore, settings: Settings, model_id: str) -> None:
    """Claim the trial of a version, load it in a child process, and record `ready` or `refused` with the reason."""
    with database.write() as connection:
        sha256 = trials.claim(connection, model_id, settings.trial_s + _RECORD_MARGIN_S)
    if sha256 is None:
        return
    failpoints.hit("trial.claimed")
    path = blobs.artifact_path(sha256)
    if not path.is_file():
        log.error("model %s: its artifact is not in the store; its trial is put off", model_id)
        return
    try:
        reason = refusal(path, memory_bytes=settings.trial_memory_bytes, seconds=settings.trial_s)
    except TrialLost as error:
        log.warning("model %s: %s; its trial is put off", model_id, error.detail)
        return

    def record() -> bool:
        with database.write() as connection:
            return trials.end(connection, model_id, reason)

    if retrying(record):
        log.info("model %s is %s", model_id, "ready" if reason is None else f"refused: {reason}")
