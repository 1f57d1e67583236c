"""Row 20: a picture that kills every process that decodes it, among good ones."""

import hashlib
from collections.abc import Callable

import pytest

from tests.faults.rig import CHUNK_ITEMS, Rig

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)


def test_row_20_a_picture_that_kills_its_process_fails_alone(ill: Rig, many: Many) -> None:
    files = many(2 * CHUNK_ITEMS)
    poison = "part-00005.jpg"
    point = f"worker.decode:{hashlib.sha256(files[poison]).hexdigest()}"
    ill.restart("bulk", f"{point}=kill")
    batch = ill.finish(ill.submit(files), 150)
    items = {item.filename: item for item in ill.items(batch.id)}
    assert (items[poison].status, items[poison].error_code) == ("failed", "poison_image")
    assert batch.succeeded == len(files) - 1
    ill.proof(f"the picture killed {ill.fired(point)} processes")
    ill.saw["attempts"] = max(item.attempts for item in items.values())
    ill.restart("bulk")
    ill.check(most_extra=ill.fired(point) * CHUNK_ITEMS)
