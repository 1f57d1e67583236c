"""Another operating point: what the scores are meant for and what the card withholds stay as they are."""

from pathlib import Path

import pytest

from shared.registry.artifact import Promise
from tests.unit.training.shipped import drawn_parts, with_card, withholding
from training import repointing
from training.data.records import DataError
from training.repointing import add_point


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn_parts(tmp_path / "images")
    monkeypatch.setattr(repointing, "parts_of", lambda *_: found)


@pytest.mark.usefixtures("parts")
def test_the_point_is_that_of_the_stated_share_of_defects(tmp_path: Path) -> None:
    usual, rare = (
        add_point(with_card(tmp_path, **lines).path, tmp_path, tmp_path / "after", say=lambda line: None)
        for lines in ({}, withholding(0.003))
    )
    assert (usual.card["prevalence"], rare.card["prevalence"]) == (None, 0.003)
    assert rare.card["costs"].startswith("0.30% of the parts are defective, an escape costs 10")
    assert rare.operating_point.review_low > usual.operating_point.review_low
    assert rare.card["test"]["log_loss"] is rare.card["metrics"]["ece"] is None


@pytest.mark.usefixtures("parts")
def test_a_card_that_tells_its_share_of_defects_in_words_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="prevalence"):
        add_point(with_card(tmp_path, **withholding(None)).path, tmp_path, tmp_path / "after")


def test_an_artifact_with_a_promise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="promises"):
        add_point(with_card(tmp_path, promise=Promise(0.01, 0.95)).path, tmp_path, tmp_path / "after")
