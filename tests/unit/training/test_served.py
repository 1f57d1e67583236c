"""The parts of a split in the form of the network that serves."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from torch import nn

from shared.registry.artifact import Preprocessing
from training import served
from training.data.records import Record
from training.data.splits import Split
from training.fit.part import Part
from training.options import Options
from training.proof.crossed import known_parts
from training.trained import Trained


def part_of(records: list[Record], *_: Any, **__: Any) -> Part:
    """Images that tell which record each of them is."""
    places = np.array([int(record.path.stem) for record in records])
    images = np.broadcast_to(places[:, None, None, None], (len(places), 8, 8, 1)).astype(np.uint8)
    return Part(images, np.array([record.label for record in records]), places)


def test_kinds_are_learned_from_the_images_that_were_sampled_of_a_large_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served, "MOST_TRAINING_IMAGES", 4)
    monkeypatch.setattr(served, "decoded", part_of)
    monkeypatch.setattr(served, "pace_of", lambda *_: None)
    monkeypatch.setattr(served, "predict", lambda *_: np.zeros(3, np.float32))
    monkeypatch.setattr(served, "feature_net", lambda *_: nn.Identity())
    chosen = SimpleNamespace(kind="features", card={})
    monkeypatch.setattr(served, "choose_served", lambda *_, **__: chosen)
    records = [Record(Path(f"{place}.png"), place % 2, str(place)) for place in range(16)]
    split = Split(records[:10], records[10:13], records[13:])
    extractor = SimpleNamespace(strong=Preprocessing(8, 8, 1), sizes=((8, 8),))
    taught = SimpleNamespace(validation=np.zeros(3), extractor=extractor, model=SimpleNamespace(head=None))
    train, validation, test = (part_of(part) for part in (split.train, split.validation, split.test))
    small = served.Served(nn.Identity(), cast(Any, None), extractor.strong, train, validation, test, None)
    best = served.served(small, cast(Any, taught), split, Options("m", Path()))
    assert len(best.train) == 4
    trained = SimpleNamespace(split=split, fold_of=None, **vars(best))
    for part, images in known_parts(cast(Trained, trained)):
        assert [int(record.path.stem) for record in part] == images[:, 0, 0, 0].tolist()
