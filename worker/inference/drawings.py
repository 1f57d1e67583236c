"""Thumbnails, images and heatmaps, drawn when first asked for and kept: the web never decodes an image."""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from sqlalchemy import select

from shared.blobs.store import Drawing
from shared.broker.wake import wake
from shared.errors import ItemError
from shared.ids import item_id
from shared.registry.artifact import Preprocessing, read_artifact
from shared.store.tables import Batch, Item, ModelVersion
from shared.vision.accepted import Limits, limits_of
from shared.vision.occlusion import heat
from shared.vision.preprocess import decode, view
from worker.inference.loaded import LoadedModel
from worker.inference.runtime import Runtime

THUMBNAIL_SIDE, IMAGE_SIDE = 192, 4096
# The hottest place shows in full colour if the logit falls there by so much or more: a good part stays plain.
_LEAST_FULL_FALL = 3.0
_COLOUR = (214, 39, 40)
_MOST_OPAQUE = 190
_BLUR_PARTS = 40  # of a side


class _Stored(NamedTuple):
    """The place of an item's bytes, and the model that judged it."""

    pack: int
    offset: int
    length: int
    frame: int | None
    model_id: str
    model_sha256: str


def draw_item(runtime: Runtime, kind: Drawing, batch_id: str, seq: int) -> None:
    """Draw and keep one item's drawing. Drawing it twice gives the same file."""
    path = runtime.blobs.drawing_path(kind, batch_id, seq)
    if not path.exists():
        query = (
            select(Item.pack, Item.offset, Item.length, Item.frame, ModelVersion.id, ModelVersion.sha256)
            .join(Batch, Batch.id == Item.batch_id)
            .join(ModelVersion, ModelVersion.id == Batch.model_id)
            .where(Item.batch_id == batch_id, Item.seq == seq)
        )
        with runtime.database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return
        stored = _Stored._make(row)
        data = runtime.blobs.read(batch_id, stored.pack, stored.offset, stored.length)
        runtime.blobs.put(path, _drawn(runtime, kind, data, stored))
    wake(runtime.broker, item_id(batch_id, seq))


def _drawn(runtime: Runtime, kind: Drawing, data: bytes, stored: _Stored) -> bytes:
    limits = limits_of(runtime.settings)
    if kind == "heatmap":
        return heatmap(data, runtime.models.get(stored.model_id), limits, stored.frame)
    spec = read_artifact(runtime.blobs.artifact_path(stored.model_sha256)).preprocessing
    if kind == "image":
        return redrawn(data, spec, limits, stored.frame)
    return thumbnail(data, spec, limits, stored.frame)


def thumbnail(data: bytes, spec: Preprocessing, limits: Limits, frame: int | None = None) -> bytes:
    """A JPEG of at most THUMBNAIL_SIDE pixels a side, undistorted, with the tones that the network sees.

    An image that is refused gives a grey square.
    """
    return _jpeg(data, spec, limits, frame, THUMBNAIL_SIDE, quality=80)


def redrawn(data: bytes, spec: Preprocessing, limits: Limits, frame: int | None = None) -> bytes:
    """The whole image as a JPEG of at most IMAGE_SIDE pixels a side: no byte of the client's file is in it."""
    return _jpeg(data, spec, limits, frame, IMAGE_SIDE, quality=92)


def _jpeg(
    data: bytes, spec: Preprocessing, limits: Limits, frame: int | None, side: int, *, quality: int
) -> bytes:
    try:
        image = view(data, spec, side, limits, frame)
    except ItemError:
        image = Image.new("L", (THUMBNAIL_SIDE, THUMBNAIL_SIDE), 128)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def heatmap(data: bytes, model: LoadedModel, limits: Limits, frame: int | None = None) -> bytes:
    """A transparent PNG to lay over the image, stretched to its size: the redder, the more a place speaks for a defect.

    Raises ItemError for an image that is refused: it has no verdict to explain.
    """
    pixels = decode(data, model.artifact.preprocessing, limits, frame)
    buffer = io.BytesIO()
    overlay(heat(model.engine.predict, pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def overlay(falls: NDArray[np.float32]) -> Image.Image:
    """Falls of the logit (H, W) as one colour, the more opaque the farther the logit falls."""
    full = max(_LEAST_FULL_FALL, float(falls.max()))
    opacity = np.clip(falls / full, 0, 1) * _MOST_OPAQUE
    drawn = Image.new("RGBA", (falls.shape[1], falls.shape[0]), _COLOUR)
    # The patches have edges, which the image has not.
    blur = ImageFilter.GaussianBlur(min(falls.shape) / _BLUR_PARTS)
    drawn.putalpha(Image.fromarray(opacity.round().astype(np.uint8)).filter(blur))
    return drawn
