"""An artifact is loaded by trial: in a child, bounded, with the logits that it carries."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from shared.errors import ArtifactError
from shared.registry import trial, versions
from shared.registry.artifact import Preprocessing
from shared.registry.trial import TrialLost, refusal
from tests.harness.artifacts import open_guard
from tests.harness.forged import Members, forge, rubbish_network, with_self_test

MEMORY = 2 * 2**30


def tried(path: Path, *, memory_bytes: int = MEMORY, seconds: float = 60.0) -> str | None:
    return refusal(path, memory_bytes=memory_bytes, seconds=seconds)


def found(path: Path) -> str | None:
    """The outcome of the trial in this process: a child costs a start of Python and its libraries."""
    try:
        trial.check(path)
    except ArtifactError as error:
        return error.detail
    return None


@pytest.mark.parametrize("path", versions.shipped(), ids=lambda path: path.stem)
def test_each_shipped_model_passes_the_trial(path: Path) -> None:
    assert tried(path) is None


def test_an_artifact_without_a_self_test_needs_finite_logits_only(artifact: Path) -> None:
    assert found(artifact) is None


def test_the_logits_of_a_self_test_are_compared(artifact: Path, tmp_path: Path) -> None:
    assert found(forge(artifact, tmp_path / "true.gonogo", with_self_test())) is None
    other = tried(forge(artifact, tmp_path / "other.gonogo", with_self_test(lambda true: true + 0.5)))
    assert other is not None
    assert "off by" in other
    unknown = found(forge(artifact, tmp_path / "nan.gonogo", with_self_test(lambda true: true * np.nan)))
    assert unknown is not None


def test_a_self_test_that_cannot_be_read_is_refused(artifact: Path, tmp_path: Path) -> None:
    def cut(manifest: dict[str, object], members: Members) -> None:
        with_self_test()(manifest, members)
        members["self_test.npz"] = members["self_test.npz"][:100]

    def unnamed(manifest: dict[str, object], members: Members) -> None:
        manifest["self_test"] = {"member": "elsewhere.npz"}

    def other_shape(manifest: dict[str, object], members: Members) -> None:
        with_self_test(lambda true: true[:-1])(manifest, members)

    for number, change in enumerate((cut, unnamed, other_shape)):
        reason = found(forge(artifact, tmp_path / f"{number}.gonogo", change))
        assert reason is not None
        assert "self-test" in reason or "self_test" in reason


def test_rubbish_for_a_network_is_refused_with_the_reason(artifact: Path, tmp_path: Path) -> None:
    reason = tried(forge(artifact, tmp_path / "rubbish.gonogo", rubbish_network))
    assert reason is not None
    assert "the graph cannot be loaded" in reason


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.gonogo").write_bytes(b"no zip")
    assert found(tmp_path / "no.gonogo") is not None


def test_a_trial_is_bounded_in_time(artifact: Path) -> None:
    started = time.monotonic()
    assert tried(artifact, seconds=0.05) == "its trial took longer than 0.05 s"
    assert time.monotonic() - started < 20


def test_a_trial_is_bounded_in_memory(artifact: Path) -> None:
    assert tried(artifact, memory_bytes=64 * 2**20) is not None


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (f"import os; os.kill(os.getpid(), {signal.SIGSEGV.value})", "it crashed"),
        ("import os; os._exit(3)", "status 3"),
        ("import os; print('no json', flush=True); os._exit(0)", "status 0"),
    ],
)
def test_a_network_that_ends_its_process_is_refused(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str, expected: str
) -> None:
    reason = refusal_of(monkeypatch, tmp_path, ending, artifact)
    assert reason is not None
    assert expected in reason


def test_a_trial_that_others_killed_says_nothing_of_the_artifact(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    killed = f"import os; os.kill(os.getpid(), {signal.SIGKILL.value})"
    with pytest.raises(TrialLost):
        refusal_of(monkeypatch, tmp_path, killed, artifact)


def refusal_of(monkeypatch: pytest.MonkeyPatch, folder: Path, ending: str, artifact: Path) -> str | None:
    """The outcome of a trial whose child runs `ending` as it starts, as a crash inside the library would."""
    hook = folder / "sitecustomize.py"
    hook.write_text(f"import sys\nif 'shared.registry.trial' in sys.orig_argv:\n    {ending}\n")
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path(trial.__file__).parents[2]}")
    return tried(artifact)


def test_a_guard_that_cannot_be_used_is_refused(artifact: Path, tmp_path: Path) -> None:
    def rubbish(manifest: dict[str, object], members: Members) -> None:
        members["guard.npz"] = b"rubbish"

    def other_size(manifest: dict[str, object], members: Members) -> None:
        members["guard.npz"] = open_guard(Preprocessing(32, 32, 1), features=64)

    def other_network(manifest: dict[str, object], members: Members) -> None:
        members["guard.npz"] = open_guard(Preprocessing(64, 64, 1), features=7)

    for number, change in enumerate((rubbish, other_size, other_network)):
        reason = tried(forge(artifact, tmp_path / f"guard-{number}.gonogo", change))
        assert reason is not None
