"""Fixtures that everything uses: a small untrained model, images, databases of both kinds."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from shared.store.engine import Database
from tests.harness import guard, unordered
from tests.harness.databases import migrated_database_url
from tests.harness.hooks import with_hooks
from tests.harness.images import jpegs
from tests.harness.suite import *  # noqa: F403 -- pytest finds its hooks by their names here

# Every connection beyond loopback fails, here and in the processes that tests start.
guard.install()
# Rows without ORDER BY come in no order, here and there.
unordered.install()
os.environ.update(with_hooks("tests.harness.guard:install", "tests.harness.unordered:install"))
# Threads of OpenMP spin while they wait for each other, which costs minutes as soon as another process runs.
os.environ["OMP_NUM_THREADS"] = "1"
# The tests' PostgreSQL ends with them, and each drop of a database waits for a checkpoint. Benches keep it durable.
os.environ.setdefault("TEST_POSTGRES_FSYNC", "off")
# A shell that runs its jobs in the background has them ignore Ctrl-C, and every child would inherit that: tests
# that send it to one would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `make fuzz` runs each fuzzer with the first profile; some hundred examples run in every `make test`.
settings.register_profile(
    "hour", max_examples=150_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile(
    "minutes", max_examples=8_000, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained but whole artifact: its verdicts mean nothing, yet are the same on every machine."""
    from tests.harness.artifacts import write_untrained

    return write_untrained(tmp_path_factory.mktemp("artifact") / "untrained.gonogo")


@pytest.fixture(scope="session")
def images() -> dict[str, bytes]:
    """300 small grey JPEGs by name, all different."""
    made = jpegs(300, seed=7, side=64, blocks=32)
    return {f"part-{number:03d}.jpg": data for number, (_, data) in enumerate(made)}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database on each of the two servers; PostgreSQL runs once a session."""
    with migrated_database_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, opened."""
    made = Database(database_url)
    yield made
    made.dispose()
