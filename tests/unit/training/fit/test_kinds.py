"""The guess of a defect's kind is learned where it helps, and left out where it does not."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import ArtifactError
from shared.registry.artifact import read_artifact, write_artifact
from shared.vision.kinds import Kinds, read_kinds
from training.data.records import Record
from training.fit.kinds import Known, fit_kinds

LEVELS = {"hole": 40, "crack": 120, "stain": 220}


def part(counts: dict[str, int], seed: int, *, told: bool = True) -> Known:
    """Images whose level tells the kind, unless nothing does; and as many good ones."""
    rng = np.random.default_rng(seed)
    records, images = [], []
    for kind, count in counts.items():
        for place in range(count):
            records.append(Record(Path(f"{kind}{place}.png"), 1, str(place), kind=kind))
            images.append(LEVELS.get(kind, 90) + rng.integers(-30, 31) if told else rng.integers(0, 256))
            records.append(Record(Path(f"good{place}.png"), 0, str(place)))
            images.append(rng.integers(0, 256))
    return records, np.array(images, np.uint8)[:, None, None, None].repeat(4, axis=1)


def features_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    level = images[:, 0, 0].astype(np.float32)
    return np.concatenate([level, np.abs(level - 120), np.ones_like(level)], axis=1)


def test_kinds_that_the_feature_tells_apart_are_guessed() -> None:
    fitted = fit_kinds(
        part(dict.fromkeys(LEVELS, 60), 1), part(dict.fromkeys(LEVELS, 20), 2), part(dict.fromkeys(LEVELS, 20), 3),
        features_of,
    )  # fmt: skip
    assert fitted is not None
    assert fitted.card["right_of_test"] > 0.9
    assert sorted(fitted.card["names"]) == sorted(LEVELS)
    images = np.array([40, 120, 220], np.uint8)[:, None, None, None].repeat(4, axis=1)
    assert fitted.kinds.likely(features_of(images)) == list(LEVELS)


@pytest.mark.parametrize(
    ("counts", "told"),
    [({"hole": 60, "crack": 9}, True), ({}, True), (dict.fromkeys(LEVELS, 40), False)],
)
def test_there_is_no_guess_where_it_would_be_no_use(counts: dict[str, int], told: bool) -> None:
    train, validation, test = (part(counts, seed, told=told) for seed in (1, 2, 3))
    fitted = fit_kinds(train, validation, test, features_of)
    if told:
        assert fitted is None
    else:  # chance may find a little
        assert fitted is None or fitted.card["right_of_validation"] < 0.5


def test_kinds_that_no_plane_parts_get_a_layer_in_between_and_the_artifact_keeps_it(
    artifact: Path, tmp_path: Path
) -> None:
    """A kind lies in two opposite corners of two features, and the other in the other two."""

    def corners(seed: int) -> Known:
        rng = np.random.default_rng(seed)
        spots = rng.integers(0, 2, (120, 2))
        records = [
            Record(Path(f"{place}.png"), 1, str(place), kind="odd" if one != other else "even")
            for place, (one, other) in enumerate(spots)
        ]
        pixels = (40 + 160 * spots + rng.integers(-20, 20, (120, 2))).astype(np.uint8)
        return records, pixels[:, :, None, None]

    def seen(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return images[:, :, 0, 0].astype(np.float32)

    fitted = fit_kinds(corners(1), corners(2), corners(3), seen)
    assert fitted is not None and fitted.kinds.hidden is not None
    assert fitted.card["right_of_test"] > 0.95
    plain = read_artifact(artifact)
    written = write_artifact(
        tmp_path / "kinds.gonogo",
        name=plain.name,
        onnx=plain.onnx(),
        weights=plain.weights(),
        preprocessing=plain.preprocessing,
        calibration=plain.calibration,
        operating_point=plain.operating_point,
        card=plain.card,
        kinds=(fitted.kinds.names, fitted.kinds.as_bytes()),
    )
    again = read_kinds(written, 2)
    features = seen(corners(3)[1])
    assert again is not None and again.likely(features) == fitted.kinds.likely(features)
    with pytest.raises(ArtifactError, match="features"):
        read_kinds(written, 3)


def test_a_kind_with_too_few_defects_is_left_out() -> None:
    counts = {"hole": 40, "crack": 40, "stain": 9}
    fitted = fit_kinds(part(counts, 1), part(counts, 2), part(counts, 3), features_of)
    assert fitted is not None and sorted(fitted.card["names"]) == ["crack", "hole"]
    assert fitted.card["defects_of_test"] == 80


def test_a_layer_of_another_shape_is_refused(artifact: Path, tmp_path: Path) -> None:
    plain = read_artifact(artifact)
    assert read_kinds(plain, 64) is None
    names = ("hole", "crack")
    for width, refused in ((64, False), (63, True)):
        known = write_artifact(
            tmp_path / f"{width}.gonogo",
            name=plain.name,
            onnx=plain.onnx(),
            weights=plain.weights(),
            preprocessing=plain.preprocessing,
            calibration=plain.calibration,
            operating_point=plain.operating_point,
            card=plain.card,
            kinds=(names, Kinds(names, np.zeros((width + 1, 2), np.float32)).as_bytes()),
        )
        if refused:
            with pytest.raises(ArtifactError, match="features"):
                read_kinds(known, 64)
        else:
            assert read_kinds(known, 64) is not None
