"""An artifact gets a guard or a reference from the split of its training, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

import shared
from shared.registry.artifact import read_artifact
from training.data.records import DataError
from training.guarding import parts_of

SOLAR = Path(shared.__file__).parent / "registry" / "published" / "solar-modules" / "solar-modules.gonogo"


def test_the_parts_of_an_artifact_of_good_parts_alone_are_not_split_as_those_of_others(
    tmp_path: Path,
) -> None:
    artifact = read_artifact(SOLAR)
    network = artifact.card["network"] | {"kind": "patches"}
    with pytest.raises(DataError, match="has learned good parts alone"):
        parts_of(replace(artifact, card=artifact.card | {"network": network}), tmp_path)
