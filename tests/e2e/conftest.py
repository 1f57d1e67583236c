"""A running stack for the tests of commands, and commands against it."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.harness.images import jpegs
from tests.harness.service import Run, Up, gonogo
from tests.harness.stack import Stack, running


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One stack for all files, since a start takes seconds. A test that changes its settings has a stack of its own."""
    one = Up(
        tmp_path_factory.mktemp("shared") / "data",
        GONOGO_FETCH_ALLOWED_NETWORKS="127.0.0.0/8",
        GONOGO_WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
    )
    try:
        yield one.wait_ready()
    finally:
        one.stop()
        one.end()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    """The same without a supervisor, with an untrained model. A file that activates another has its own."""
    with running(tmp_path_factory.mktemp("stack"), [artifact], workers=1) as one:
        yield one


@pytest.fixture
def run(up: Up) -> Run:
    """Run a command against the stack."""

    def command(*argv: str, **extra: str) -> CompletedProcess[str]:
        return gonogo(*argv, env={"GONOGO_URL": up.url, "GONOGO_DATA_DIR": str(up.data_dir), **extra})

    return command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with six images in a folder below it."""
    made = tmp_path / "parts"
    (made / "deeper").mkdir(parents=True)
    for name, data in jpegs(6, seed=7):
        (made / "deeper" / name).write_bytes(data)
    return made
