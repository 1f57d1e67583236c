"""Thumbnails, drawn at the first request and kept: the web never decodes an image."""

import io

from PIL import Image, ImageOps
from sqlalchemy import select

from shared.broker.wake import wake
from shared.ids import item_id
from shared.store.tables import Item
from shared.vision.preprocess import media_kind
from worker.inference.runtime import Runtime

SIDE = 192


def draw_thumbnail(runtime: Runtime, batch_id: str, seq: int) -> None:
    """Draw and keep one item's thumbnail. Drawn twice it is the same file."""
    path = runtime.blobs.thumbnail_path(batch_id, seq)
    if not path.exists():
        query = select(Item.pack, Item.offset, Item.length).where(Item.batch_id == batch_id, Item.seq == seq)
        with runtime.database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return
        data = runtime.blobs.read(batch_id, row.pack, row.offset, row.length)
        runtime.blobs.put(path, thumbnail(data, runtime.settings.max_pixels))
    wake(runtime.broker, item_id(batch_id, seq))


def thumbnail(data: bytes, max_pixels: int) -> bytes:
    """A JPEG of at most SIDE pixels a side, plain grey if the image can't be decoded."""
    kind = media_kind(data)
    image = Image.new("L", (SIDE, SIDE), 128)
    if kind is not None:
        with Image.open(io.BytesIO(data), formats=(kind,)) as stored:
            if stored.width * stored.height <= max_pixels:
                stored.draft("RGB", (SIDE, SIDE))
                image = ImageOps.exif_transpose(stored)
                image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
