"""Thumbnails, drawn when first asked for and kept: the web never decodes an image."""

import io

from PIL import Image
from sqlalchemy import select

from shared.broker.wake import wake
from shared.errors import ItemError
from shared.ids import item_id
from shared.registry.artifact import Preprocessing, read_artifact
from shared.store.tables import Batch, Item, ModelVersion
from shared.vision.accepted import Limits, limits_of
from shared.vision.preprocess import view
from worker.inference.runtime import Runtime

SIDE = 192


def draw_thumbnail(runtime: Runtime, batch_id: str, seq: int) -> None:
    """Draw and keep one item's thumbnail. Drawing it twice gives the same file."""
    path = runtime.blobs.thumbnail_path(batch_id, seq)
    if not path.exists():
        query = (
            select(Item.pack, Item.offset, Item.length, Item.frame, ModelVersion.sha256)
            .join(Batch, Batch.id == Item.batch_id)
            .join(ModelVersion, ModelVersion.id == Batch.model_id)
            .where(Item.batch_id == batch_id, Item.seq == seq)
        )
        with runtime.database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return
        data = runtime.blobs.read(batch_id, row.pack, row.offset, row.length)
        spec = read_artifact(runtime.blobs.artifact_path(row.sha256)).preprocessing
        runtime.blobs.put(path, thumbnail(data, spec, limits_of(runtime.settings), row.frame))
    wake(runtime.broker, item_id(batch_id, seq))


def thumbnail(data: bytes, spec: Preprocessing, limits: Limits, frame: int | None = None) -> bytes:
    """A JPEG of at most SIDE pixels a side, undistorted, with the tones that the network sees.

    An image that is refused gives a grey square.
    """
    try:
        image = view(data, spec, SIDE, limits, frame)
    except ItemError:
        image = Image.new("L", (SIDE, SIDE), 128)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
