"""The plan of the sweep and of `gonogo doctor --repair` holds every step."""

import math
from pathlib import PurePath

from shared.settings import Settings
from tests.arch.prose import tracked
from worker.upkeep.steps.every import LOSSES, PLAN, STEPS

FOLDER = "worker/upkeep/steps"


def test_every_module_of_the_folder_is_in_the_plan_once() -> None:
    modules = {PurePath(name).stem for name in tracked() if PurePath(name).parent.as_posix() == FOLDER}
    planned = [getattr(step, "__name__", "").rpartition(".")[2] for step in (*STEPS, *LOSSES)]
    assert sorted(planned) == sorted(modules - {"__init__", "every", "step"})
    names = [step.NAME for step in (*STEPS, *LOSSES)]
    assert len(set(names)) == len(names)


def test_the_sweep_leaves_to_a_repair_only_the_faults_of_the_product() -> None:
    left = {step.NAME for step, often in PLAN if math.isinf(often(Settings()))}
    assert left == {"unclaimable", "counters", "steered"}
