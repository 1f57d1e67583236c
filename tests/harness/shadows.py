"""Shadows of a test: a row that has ended, a candidate, and the work of the sweep and an idle worker."""

from pathlib import Path

from shared.lifecycle import shadows
from shared.registry import versions
from shared.registry.artifact import read_artifact
from tests.harness.application import Application
from tests.harness.artifacts import write_untrained
from worker.inference import shadow as spare
from worker.upkeep.site import Site
from worker.upkeep.steps import shadows as step


def stopped_shadow(app: Application) -> str:
    """The id of a shadow that has ended."""
    with app.database.write() as connection:
        shadow = shadows.start(connection, "default", "mdl_a", "mdl_b", 0.5, None)[0].id
        shadows.stop(connection, shadow, None)
    return shadow


def register_candidate(app: Application, folder: Path, seed: int = 7) -> str:
    """The id of a ready version that is not the active one."""
    made = read_artifact(write_untrained(folder / "candidate.gonogo", seed=seed))
    return versions.register(app.database, app.service.blobs, made, tenant="default")


def list_ended(site: Site) -> None:
    """List the batches that have ended, as the sweep does in a few passes."""
    for _ in range(3):
        step.mend(site, step.find(site, 10))


def score_all(app: Application, site: Site) -> None:
    """Score for the shadows until no image is left, as the sweep and an idle worker do."""
    list_ended(site)
    while spare.score_some(app.runtime, 0.05):
        pass
