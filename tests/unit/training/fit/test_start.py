from pathlib import Path

import numpy as np
import pytest
import torch

from shared.errors import ArtifactError
from shared.registry.artifact import read_artifact
from shared.vision.net import Shape, build, load
from training.data.records import DataError
from training.fit.recipe import preprocessing_for, shape_for
from training.fit.start import PUBLISHED, starting_weights


def recipe_shape(colour: bool = False) -> Shape:
    return shape_for(preprocessing_for([(300, 300)], colour))


def test_the_recipe_for_large_images_starts_from_the_shipped_model() -> None:
    start = starting_weights("auto", recipe_shape())
    assert start is not None and start.sha256 == read_artifact(PUBLISHED).sha256
    shipped = load(read_artifact(PUBLISHED).weights(), read_artifact(PUBLISHED).card).state_dict()
    same = {name for name, value in start.weights.items() if torch.equal(value, shipped[name])}
    assert same == {name for name in shipped if not name.startswith("head.")}


def test_grey_weights_see_a_grey_image_stored_in_colour_alike() -> None:
    grey, colour = recipe_shape(), recipe_shape(colour=True)
    images = np.random.default_rng(0).integers(0, 255, (2, grey.height, grey.width, 1)).astype(np.uint8)
    features = []
    for shape, pictures in ((grey, images), (colour, images.repeat(3, 3))):
        start = starting_weights("auto", shape)
        assert start is not None
        net = build(shape).eval()
        net.load_state_dict(start.weights)
        with torch.inference_mode():
            features.append(net(torch.from_numpy(pictures))[1])
    torch.testing.assert_close(features[0], features[1], rtol=1e-3, atol=1e-3)


def test_another_network_starts_at_random_unless_the_weights_were_asked_for() -> None:
    small = shape_for(preprocessing_for([(24, 40)], False))
    assert starting_weights("auto", small) is None
    assert starting_weights("none", recipe_shape()) is None
    with pytest.raises(DataError, match="another network"):
        starting_weights(str(PUBLISHED), small)


def test_a_start_that_is_not_an_artifact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gonogo").write_bytes(b"nothing")
    with pytest.raises(ArtifactError):
        starting_weights(str(tmp_path / "x.gonogo"), recipe_shape())
