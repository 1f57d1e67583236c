"""Fixtures that everything uses: a small untrained model, pictures, databases of both kinds."""

import io
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.store.engine import Database
from shared.store.migrations import migrate
from tests.harness.databases import empty_database_url

# A shell that runs its jobs in the background has them ignore Ctrl-C, and every child would inherit that: tests
# that send it to one would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained but whole artifact: its verdicts mean nothing, yet are the same on every machine."""
    from tests.harness.artifacts import write_untrained

    return write_untrained(tmp_path_factory.mktemp("artifact") / "untrained.gonogo")


@pytest.fixture(scope="session")
def pictures() -> dict[str, bytes]:
    """300 small grey JPEGs by name, all different."""
    rng = np.random.default_rng(7)
    made = {}
    for number in range(300):
        buffer = io.BytesIO()
        pixels = rng.integers(0, 255, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(buffer, "JPEG")
        made[f"part-{number:03d}.jpg"] = buffer.getvalue()
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database on each of the two servers; PostgreSQL runs once a session."""
    with empty_database_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database on each of the two servers."""
    made = Database(database_url)
    migrate(made)
    yield made
    made.dispose()
