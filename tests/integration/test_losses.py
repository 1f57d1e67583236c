"""`gonogo doctor --repair` calls bytes lost that were there, and none that never came."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.registry.artifact import read_artifact
from tests.harness.application import Application
from worker.upkeep.site import Site, open_site
from worker.upkeep.steps import artifacts, packs


@pytest.fixture
def site(app: Application) -> Iterator[Site]:
    opened = open_site(app.service.settings)
    yield opened
    opened.database.dispose()


def test_images_without_bytes_are_no_loss_and_a_pack_that_is_gone_is_one(
    app: Application, site: Site, images: dict[str, bytes]
) -> None:
    before = packs.find(site, 1000)
    app.finished({"a.txt": b"no image", "b.txt": b"no image either"})
    app.call("POST", "/v1/batches", json={"inputs": [{"url": "http://203.0.113.9/a.jpg"}]})
    assert packs.find(site, 1000) == before
    kept = app.finished(dict(list(images.items())[:2]))["id"]
    site.blobs.pack_path(kept, 0).unlink()
    assert {*packs.find(site, 1000)} - {*before} == {(kept, 0)}


@pytest.mark.parametrize("left", [None, b"", b"other bytes"], ids=["gone", "empty", "other"])
def test_an_artifact_that_is_gone_or_damaged_is_a_loss(
    app: Application, site: Site, artifact: Path, left: bytes | None
) -> None:
    sha256 = read_artifact(artifact).sha256
    kept = site.blobs.artifact_path(sha256)
    assert sha256 not in artifacts.find(site, 1000)
    kept.unlink()
    if left is not None:
        kept.write_bytes(left)
    try:
        assert sha256 in artifacts.find(site, 1000)
    finally:
        kept.write_bytes(artifact.read_bytes())
