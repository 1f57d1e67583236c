"""The readable card says what no image was left to tell."""

import pytest

from shared.json_text import Card
from shared.registry.artifact import read_artifact
from tests.harness.processes import ROOT
from training.output.card import readable

SOLAR = ROOT / "shared/registry/published/solar-modules/solar-modules.gonogo"


@pytest.fixture(scope="module")
def card() -> Card:
    return read_artifact(SOLAR).card


def test_a_guard_without_other_images_is_not_counted(card: Card) -> None:
    assert "of the test part. The figures above" in readable(card)
    uncounted = card | {"guard": card["guard"] | {"held": 8, "flagged_of_test": None}}
    said = readable(uncounted)
    assert (
        "of 8 held-out images, where its bounds were set, and no other images were left to count on" in said
    )


def test_a_guess_of_kinds_without_other_defects_is_not_counted(card: Card) -> None:
    kinds = card["kinds"] | {"defects_of_test": 0, "right_of_test": None}
    assert "no other defects were left to count on" in readable(card | {"kinds": kinds})
