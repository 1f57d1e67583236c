"""The trial load: an artifact is loaded in a process of its own, bounded in memory and time, and must predict.

The child (`python -m shared.registry.trial ARTIFACT MEMORY`) predicts the self-test images that the artifact carries
and compares the logits with those in it. Without self-test images, random ones must give finite logits.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ArtifactError, GonogoError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shared.registry.artifact import Artifact
    from shared.vision.known_logits import SelfTest

# Engines differ in the order of their sums; another network differs by far more.
TOLERANCE = 5e-3
_RANDOM_IMAGES = 4
_MOST_IMAGES = 256
_LONGEST_REASON = 500


class TrialLost(GonogoError):
    """The trial came to no end for a reason that says nothing about the artifact: it must be tried again."""

    permanent = False


def refusal(path: Path, *, memory_bytes: int, seconds: float) -> str | None:
    """Try an artifact in a child process; why it is refused, or None where it is ready. Raises TrialLost."""
    command = [sys.executable, "-m", "shared.registry.trial", str(path), str(memory_bytes)]
    # A single thread: each thread's stack and arena counts against the memory bound.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"its trial took longer than {seconds:g} s"
    if done.returncode in (-signal.SIGKILL, -signal.SIGTERM):
        raise TrialLost(f"the trial of {path.name} was killed")
    if done.returncode < 0:
        return f"it crashed the process that loaded it ({signal.Signals(-done.returncode).name})"
    try:
        reason = json.loads(done.stdout.splitlines()[-1])["refused"]
    except (IndexError, ValueError, KeyError, TypeError):
        said = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return f"it ended the process that loaded it, with status {done.returncode}: {said}"[:_LONGEST_REASON]
    return None if reason is None else str(reason)[:_LONGEST_REASON]


def check(path: Path) -> None:
    """Load an artifact and predict with it, in this process; raises ArtifactError."""
    import numpy as np

    from shared.registry.artifact import read_artifact
    from shared.vision.graph import Graph
    from shared.vision.guard import read_guard
    from shared.vision.kinds import read_kinds

    artifact = read_artifact(path)
    carried = self_test(artifact)
    images = _random_images(artifact) if carried is None else carried.images
    logits, features = Graph(artifact, threads=1).logits_and_features(images)
    if logits.shape != (len(images),):
        raise ArtifactError(f"it gives logits of shape {logits.shape} for {len(images)} images")
    if not np.isfinite(logits).all():
        raise ArtifactError("it gives logits that are not finite")
    guard = artifact.guard()
    if guard is not None:
        read_guard(guard, artifact.preprocessing).judge(images, features)
    read_kinds(artifact, features.shape[1])
    if carried is not None:
        off = float((np.abs(logits - carried.logits) / (1 + np.abs(carried.logits))).max())
        if not off <= TOLERANCE:
            raise ArtifactError(f"its logits of the self-test images are off by {off:.3g} of 1 + |logit|")


def self_test(artifact: "Artifact") -> "SelfTest | None":
    """The self-test images that an artifact carries, or None; raises ArtifactError where they are unusable."""
    from shared.vision.known_logits import read_self_test

    data = artifact.self_test()
    if data is None:
        return None
    carried, spec = read_self_test(data), artifact.preprocessing
    shape = (spec.height, spec.width, spec.channels)
    if carried.images.shape[1:] != shape or len(carried.images) > _MOST_IMAGES:
        raise ArtifactError(f"its self-test images are {carried.images.shape}, not {spec}")
    return carried


def _random_images(artifact: "Artifact") -> "NDArray[np.uint8]":
    import numpy as np

    spec = artifact.preprocessing
    shape = (_RANDOM_IMAGES, spec.height, spec.width, spec.channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _main() -> None:
    path, memory_bytes = Path(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)  # the workers next to it have images to judge
    try:
        check(path)
        reason = None
    except ArtifactError as error:
        reason = error.detail
    except MemoryError:
        reason = f"it needs more than {math.floor(memory_bytes / 2**20)} MiB of memory"
    except Exception as error:  # the library raises a family of its own, without a common root
        reason = f"{type(error).__name__}: {error}"
    print(json.dumps({"refused": reason}))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    _main()
