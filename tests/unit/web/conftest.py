"""A site of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.site import Site, made_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with made_site(tmp_path) as made:
        yield made
