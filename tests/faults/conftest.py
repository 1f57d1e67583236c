"""The rig that rows share: one installation for each kind of database, replaced after a row that left it ill."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.rig import Rig, rig


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each row of this folder as dependent on pace, and as slow where its mark does not call it quick."""
    for item in items:
        row = item.get_closest_marker("row")
        if row is None or item.path.parent != Path(__file__).parent:
            continue
        item.add_marker(pytest.mark.pace)
        if not any(f"[{kind}" in item.name for kind in row.kwargs.get("quick", ())):
            item.add_marker(pytest.mark.slow)


class _Shared:
    """The one shared rig of the moment."""

    def __init__(self, make: Callable[[ExitStack], Rig]) -> None:
        self._make = make
        self._closing = ExitStack()
        self._rig: Rig | None = None

    def get(self) -> Rig:
        if self._rig is None or self._rig.spoilt:
            self.close()
            self._rig = self._make(self._closing)
        return self._rig

    def close(self) -> None:
        self._rig = None
        self._closing.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path
) -> Iterator[_Shared]:
    def make(closing: ExitStack) -> Rig:
        return closing.enter_context(rig(tmp_path_factory.mktemp("rig"), [artifact], request.param))

    holder = _Shared(make)
    yield holder
    holder.close()


@pytest.fixture
def ill(shared: _Shared, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The shared rig, about to be made ill; a row that does not end with `check` spoils it."""
    here = shared.get()
    here.spoilt = True
    here.saw = {}
    here.fresh_points()
    yield here
    report(request, here)


@pytest.fixture
def report_rig(request: pytest.FixtureRequest) -> Iterator[Callable[[Rig], Rig]]:
    """For rows with a rig of their own: what it saw goes into the report."""
    rigs: list[Rig] = []

    def remember(made: Rig) -> Rig:
        rigs.append(made)
        return made

    yield remember
    for made in rigs:
        report(request, made)


def report(request: pytest.FixtureRequest, made: Rig) -> None:
    """Hand what a row saw to `python -m tests.faults`, which makes the table of it."""
    request.node.user_properties.append(("saw", json.dumps({"database": made.kind, **made.saw})))


@pytest.fixture(scope="session")
def many(images: dict[str, bytes]) -> Callable[[int], dict[str, bytes]]:
    """Any number of images by name."""
    data = list(images.values())

    def make(count: int) -> dict[str, bytes]:
        return {f"part-{number:05d}.jpg": data[number % len(data)] for number in range(count)}

    return make
