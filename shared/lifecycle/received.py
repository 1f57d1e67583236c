"""A submission as the upload hands it to the lifecycle: the batch, its terms, and the items of each pack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.contract.batches import BatchWarning
from shared.contract.manifests import Tags
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import PartRule
from shared.errors import ItemErrorCode


@dataclass(frozen=True, slots=True)
class NewBatch:
    """The facts of a batch that no option decides."""

    id: str
    tenant: str
    origin: str = "batch"
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """The options of a batch together with the values that the model and the settings gave for the rest."""

    lane: str
    model_id: str
    point: OperatingPoint
    retention_s: float
    guarded: bool = False  # whether the model knows how its images look
    deadline_s: float | None = None
    on_error: str = "continue"
    webhook: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    part_rule: str = PartRule.ANY_DEFECT
    expected_views: list[str] | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)  # by the names of contract.options.LABELS


@dataclass(frozen=True, slots=True)
class ReceivedItem:
    """An image of a pack, or one that was refused: then `error` has its code and detail, and `length` is 0."""

    seq: int
    filename: str
    sha256: str | None
    offset: int
    length: int
    error: tuple[ItemErrorCode, str] | None = None
    frame: int | None = None  # which of several images in the bytes, from 1
    tags: Tags | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """The items of one durable pack of `size` bytes. The images without an error become one chunk, if there are any."""

    pack: int
    size: int
    items: Sequence[ReceivedItem]

    @property
    def good(self) -> list[ReceivedItem]:
        return [item for item in self.items if item.error is None]


@dataclass(frozen=True, slots=True)
class Notes:
    """Files that became no item: how many, and the first of them as warnings."""

    skipped: int = 0
    warnings: Sequence[BatchWarning] = ()

    def columns(self) -> dict[str, Any]:
        return {"skipped": self.skipped, "warnings": list(self.warnings)}
