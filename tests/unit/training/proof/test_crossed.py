"""A cross-fitted set without a test part lends its first fold, and judges nothing that the serving network learned."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from training.data.records import Record
from training.data.splits import Split
from training.fit.part import Part
from training.proof.crossed import guard_parts, known_parts

RECORDS = [Record(Path(f"{place}.png"), place % 2, str(place)) for place in range(6)]


def part_of(records: list[Record]) -> Part:
    places = np.array([int(record.path.stem) for record in records])
    images = np.broadcast_to(places[:, None, None, None].astype(np.uint8), (len(places), 2, 2, 1))
    return Part(images, places % 2, places)


def crossed(test: list[Record] | None = None) -> Any:
    return cast("Any", SimpleNamespace(
        fold_of=np.array([0, 0, 1, 1, 2, 2]),
        tests_itself=test is None,
        train=part_of(RECORDS),
        test=part_of(RECORDS if test is None else test),
        split=Split(RECORDS, RECORDS, RECORDS if test is None else test),
        sampled=None,
    ))  # fmt: skip


def shown(images: Any) -> list[int]:
    return [int(image[0, 0, 0]) for image in images]


def test_kinds_are_judged_on_no_image_that_the_network_has_learned() -> None:
    learned, held, judged = known_parts(crossed())
    assert [shown(images) for _, images in (learned, held, judged)] == [[2, 3, 4, 5], [0, 1], []]
    assert [len(records) for records, _ in (learned, held, judged)] == [4, 2, 0]


def test_the_guard_is_told_that_no_other_images_are_left() -> None:
    learned, held, judged = guard_parts(crossed())
    assert shown(learned) == [2, 3, 4, 5] and shown(held) == [0, 1]
    assert judged is held


def test_a_given_test_part_is_judged() -> None:
    given = [Record(Path(f"{place}.png"), place % 2, str(place)) for place in (7, 8)]
    assert shown(known_parts(crossed(given))[2][1]) == shown(guard_parts(crossed(given))[2]) == [7, 8]
