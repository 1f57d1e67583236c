"""A submission as the upload hands it to the lifecycle: the batch, its terms, and the items of each pack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from shared.contract.manifests import Tags
from shared.contract.marks import BatchWarning
from shared.contract.operating_point import OperatingPoint
from shared.contract.states import PartRule
from shared.errors import ItemErrorCode
from shared.json_text import JsonObject
from shared.store.documents import Webhook


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
    promised: float | None = None  # the largest escape rate that the model promises with this operating point
    deadline_s: float | None = None
    on_error: str = "continue"
    webhook: Webhook | None = None
    metadata: JsonObject = field(default_factory=dict)
    name: str | None = None
    part_rule: str = PartRule.ANY_DEFECT
    expected_views: list[str] | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)  # by the names of contract.options.LABELS


@dataclass(frozen=True, slots=True)
class ReceivedItem:
    """An image of a pack, or one without bytes: `length` is 0. It was refused, and `error` has code and detail, or its
    bytes are to be fetched from `source`, a URL or an object."""

    seq: int
    filename: str
    sha256: str | None
    offset: int
    length: int
    error: tuple[ItemErrorCode, str] | None = None
    frame: int | None = None  # which of several images in the bytes, from 1
    tags: Tags | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """The items of one durable pack of `size` bytes. Its images become one chunk, or more where images to be fetched
    lie between them: a chunk covers no item whose bytes are still to come."""

    pack: int
    size: int
    items: Sequence[ReceivedItem]

    @property
    def open(self) -> list[ReceivedItem]:
        """The items that were not refused."""
        return [item for item in self.items if item.error is None]

    @property
    def runs(self) -> list[list[ReceivedItem]]:
        """The stored images of each chunk."""
        open_items = self.open
        runs = groupby(open_items, lambda item: item.source is None)
        return [list(run) for is_stored, run in runs if is_stored]

    @property
    def refused(self) -> list[tuple[int, int]]:
        """(first, last) of each run of refused images that lies in no chunk."""
        chunks = [(run[0].seq, run[-1].seq) for run in self.runs]
        alone = [
            item.seq
            for item in self.items
            if item.error is not None and not any(first <= item.seq <= last for first, last in chunks)
        ]
        # Neighbours share the difference of number and position in the list.
        runs = [list(run) for _, run in groupby(enumerate(alone), lambda at: at[1] - at[0])]
        return [(run[0][1], run[-1][1]) for run in runs]

    @property
    def fetched(self) -> list[ReceivedItem]:
        """The items whose bytes are to be fetched."""
        return [item for item in self.items if item.source is not None]


@dataclass(frozen=True, slots=True)
class Notes:
    """Files that became no item: how many, and the first of them as warnings."""

    skipped: int = 0
    warnings: Sequence[BatchWarning] = ()

    def columns(self) -> JsonObject:
        return {"skipped": self.skipped, "warnings": list(self.warnings)}
