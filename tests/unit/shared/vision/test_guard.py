"""The guard's parameters as an artifact carries them, and its answers."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.contract.states import Reason
from shared.errors import ArtifactError
from shared.registry.artifact import Preprocessing
from shared.vision.arrays import npz_bytes
from shared.vision.guard import read_guard
from shared.vision.known_logits import read_self_test, self_test_bytes
from tests.harness.artifacts import open_guard

SPEC = Preprocessing(24, 40, 1)
FEATURES = np.zeros((3, 8), np.float32)


def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 24, 1)).astype(np.uint8)


def test_a_guard_is_read_back_as_it_was_written() -> None:
    data = open_guard(SPEC, features=8)
    assert read_guard(data, SPEC).as_bytes() == data


def test_within_the_bound_there_is_no_reason_and_beyond_it_there_is() -> None:
    assert read_guard(open_guard(SPEC, features=8), SPEC).judge(images(), FEATURES) == [(), (), ()]
    strict = read_guard(open_guard(SPEC, features=8, bound=-1), SPEC)
    assert strict.judge(images(), FEATURES) == [(Reason.UNFAMILIAR,)] * 3


def test_an_image_without_contrast_is_blank() -> None:
    guard = read_guard(open_guard(SPEC, features=8, least_contrast=5), SPEC)
    seen = images()
    seen[1] = 77
    assert guard.judge(seen, FEATURES) == [(), (Reason.BLANK,), ()]


def test_a_feature_that_is_no_number_is_unfamiliar() -> None:
    features = FEATURES.copy()
    features[2] = np.nan
    reasons = read_guard(open_guard(SPEC, features=8), SPEC).judge(images(), features)
    assert reasons == [(), (), (Reason.UNFAMILIAR,)]


def test_a_guard_for_another_size_or_version_is_refused() -> None:
    data = open_guard(SPEC, features=8)
    with pytest.raises(ArtifactError):
        read_guard(data, Preprocessing(64, 64, 3))
    with np.load(io.BytesIO(data)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    with pytest.raises(ArtifactError, match="description"):
        read_guard(npz_bytes(arrays | {"version": np.array(99, np.float32)}), SPEC)
    with pytest.raises(ArtifactError):
        read_guard(npz_bytes(arrays | {"bound": np.array(np.nan, np.float32)}), SPEC)
    del arrays["layer2"]
    with pytest.raises(ArtifactError):
        read_guard(npz_bytes(arrays), SPEC)


def test_compressed_arrays_and_objects_are_refused() -> None:
    compressed, objects = io.BytesIO(), io.BytesIO()
    np.savez_compressed(compressed, images=np.zeros(9), logits=np.zeros(9))
    np.savez(objects, images=np.array([{}], dtype=object), logits=np.zeros(1))
    for data in (compressed.getvalue(), objects.getvalue(), b"", b"PK\x03\x04"):
        with pytest.raises(ArtifactError):
            read_self_test(data)


def test_a_damaged_guard_is_refused_or_still_answers() -> None:
    data = open_guard(SPEC, features=8)
    for place in range(0, len(data), 997):
        broken = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        try:
            guard = read_guard(broken, SPEC)
        except ArtifactError:
            continue
        assert len(guard.judge(images(), FEATURES)) == 3


def test_a_self_test_holds_images_with_as_many_logits() -> None:
    seen, logits = images(), np.array([0.5, -1, 2], np.float32)
    test = read_self_test(self_test_bytes(seen, logits))
    assert (test.images == seen).all() and (test.logits == logits).all()
    for wrong in (logits[:2], np.array([0, np.nan, 0], np.float32)):
        with pytest.raises(ArtifactError):
            read_self_test(self_test_bytes(seen, wrong))
