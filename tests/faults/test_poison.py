"""Row 20: an image that kills every process that decodes it, among good ones."""

import hashlib
from collections.abc import Callable

import pytest

from tests.faults.rig import CHUNK_ITEMS, Rig

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(170)


@pytest.mark.row(20)
def test_an_image_that_kills_its_process_fails_alone(ill: Rig, many: Many) -> None:
    files = many(2 * CHUNK_ITEMS)
    poison = "part-00005.jpg"
    point = f"worker.decode:{hashlib.sha256(files[poison]).hexdigest()}"
    ill.restart("bulk", f"{point}=kill")
    batch = ill.finish(ill.submit(files), 150)
    items = {item.filename: item for item in ill.items(batch.id)}
    assert (items[poison].status, items[poison].error_code) == ("failed", "poison_image")
    assert batch.succeeded == len(files) - 1
    ill.proof(f"the image killed {ill.fired(point)} processes")
    ill.saw["attempts"] = max(item.attempts for item in items.values())
    ill.restart("bulk")
    ill.check(most_extra=ill.fired(point) * CHUNK_ITEMS)


@pytest.mark.row(20)
def test_in_one_micro_batch_with_other_batches_only_its_own_fails(ill: Rig, many: Many) -> None:
    """Claimed together the first time, alone after it: the others have tries left."""
    files = many(CHUNK_ITEMS)
    poison = "part-00005.jpg"
    point = f"worker.decode:{hashlib.sha256(files[poison]).hexdigest()}"
    ill.stack.kill_group("bulk")
    batches = {name: ill.submit({name: data}) for name, data in files.items()}
    ill.restart("bulk", f"{point}=kill")
    for name, batch_id in batches.items():
        ill.finish(batch_id, 150)
        (item,) = ill.items(batch_id)
        expected = ("failed", "poison_image") if name == poison else ("succeeded", None)
        assert (item.status, item.error_code) == expected, name
    ill.proof(f"the image killed {ill.fired(point)} processes")
    beside = [ill.items(batch_id)[0].attempts for name, batch_id in batches.items() if name != poison]
    assert 2 in beside, "no image was ever in one micro-batch with the one that kills"
    ill.restart("bulk")
    ill.check(most_extra=CHUNK_ITEMS + ill.fired(point))
