"""A teacher for the small network: logistic regression on pretrained features of the training part."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shared.errors import ItemError
from shared.registry.artifact import Calibration, Preprocessing
from shared.vision.lite0 import FeatureNet
from shared.vision.preprocess import decode
from training.data.folders import image_paths
from training.data.pixels import decode_files
from training.data.records import Record
from training.data.splits import Split, grouped_folds
from training.fit.part import Part
from training.fit.steps import example_weights
from training.proof.calibrate import scores
from training.teacher.features import Extractor
from training.teacher.logistic import CrossFitted, Linear, cross_fit

Floats = NDArray[np.float32]

FOLDS = 5
# A label and the teacher's word weigh alike: the teacher knows doubtful images, the label knows new kinds.
_TRUST = 0.5
_PLAIN = Calibration(1.0, 0.0)


@dataclass(frozen=True)
class Taught:
    """A teacher, its logits for the training part by models that had not seen each group, and for validation."""

    extractor: Extractor
    model: Linear
    held_out: Floats
    validation: Floats


def teach(extractor: Extractor, split: Split, train: Part) -> Taught:
    """Fit on the training part; `train` holds its labels and groups in the order of split.train."""
    features = extractor.of_files([record.path for record in split.train])
    fitted = fit_folds(features, split.train, train)
    seen = extractor.of_files([record.path for record in split.validation])
    return Taught(extractor, fitted.model, fitted.held_out, fitted.model.logits(seen))


def fit_folds(features: Floats, records: Sequence[Record], part: Part, *, seed: int = 0) -> CrossFitted:
    """Cross-fit by folds of whole groups; features (N, F) and `part` in the order of the records."""
    place_of = {record.path: place for place, record in enumerate(records)}
    folds = [
        np.array(sorted(place_of[record.path] for record in fold), np.int64)
        for fold in grouped_folds(records, FOLDS, seed=seed)
        if fold
    ]
    return cross_fit(features, part.labels, example_weights(part), folds)


def feature_net(extractor: Extractor, model: Linear) -> FeatureNet:
    """The network that gives the teacher's logits."""
    net = extractor.net
    with torch.no_grad():
        net.head.weight.copy_(torch.from_numpy(model.weights)[None])
        net.head.bias.fill_(model.offset)
    return net.eval()


def with_targets(train: Part, held_out: Floats) -> Part:
    """The training part with soft labels: halfway between the label and the held-out logits of the teacher."""
    word = scores(held_out, _PLAIN)
    return replace(train, targets=(_TRUST * word + (1 - _TRUST) * train.labels).astype(np.float32))


def with_unlabelled(
    train: Part,
    extractor: Extractor,
    model: Linear,
    files: Sequence[Path],
    spec: Preprocessing,
    *,
    threads: int,
) -> Part:
    """The training part with further images, whose labels are the teacher's alone."""
    if not files:
        return train
    word = scores(model.logits(extractor.of_files(files)), _PLAIN).astype(np.float32)
    images = decode_files(files, spec, threads=threads)
    assert train.targets is not None
    first = int(train.groups.max()) + 1
    return Part(
        np.concatenate([train.images, images]),
        np.concatenate([train.labels, (word >= 0.5).astype(np.int64)]),
        np.concatenate([train.groups, np.arange(first, first + len(files))]),
        None,  # masks speak of labelled images alone
        np.concatenate([train.targets, word]),
    )


def unlabelled_files(folder: Path, known: Sequence[Record], spec: Preprocessing) -> tuple[list[Path], int]:
    """The images of a folder that the service would judge and that are none of `known`, and how many are left out.

    A labelled image must not come back: one of the test part would be learned by another name.
    """
    seen = {record.identity for record in known}
    files, left_out = [], 0
    for path in image_paths(folder):
        data = path.read_bytes()
        identity = hashlib.sha256(data).hexdigest()
        try:
            if identity in seen:
                left_out += 1
                continue
            decode(data, spec)
        except ItemError:
            left_out += 1
            continue
        seen.add(identity)
        files.append(path)
    return files, left_out
