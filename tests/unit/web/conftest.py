"""A site of its own for each test; a file whose tests do not disturb each other takes one for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.site import Site, made_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with made_site(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def site_of_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with made_site(tmp_path_factory.mktemp("site")) as made:
        yield made
