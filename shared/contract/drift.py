"""Drift windows, as the API shows them."""

from typing import Annotated, Literal, cast

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, Share, Time
from shared.store.records import DriftWindowRecord


class DriftDistances(TypedDict, total=False):
    """The largest difference between two cumulative distributions, 0 to 1, by measure."""

    score: Share
    unfamiliarity: Annotated[Share, About("absent where the model has no guard")]


class DriftCounts(TypedDict):
    """Images by bin. Scores: 34 bins of the log-odds from -8 to 8; unfamiliarities: 62 bins from -1 to 2."""

    score: list[int]
    unfamiliarity: list[int]


class DriftWindowPayload(TypedDict):
    """Images of one line that a model version has judged, compared with the model's reference."""

    id: str
    object: Literal["drift_window"]
    model_id: str
    line: Annotated[str | None, About("null for batches that name no line")]
    began_at: Annotated[Time | None, About("the end of the window before; null in the first one")]
    ended_at: Time
    images: int
    drifted: Annotated[bool, About("a distance is larger than the limit")]
    distances: DriftDistances
    limit: Annotated[
        Share, About("the distance that chance explains: without drift one window in 1,000 passes it")
    ]
    defect_share: Annotated[
        Share, About("share of defects in the mix of reference images that fits the window best")
    ]
    counts: DriftCounts


def drift_payload(row: DriftWindowRecord) -> DriftWindowPayload:
    """The public object."""
    return {
        "id": f"dft_{row.id}",
        "object": "drift_window",
        "model_id": row.model_id,
        "line": row.line or None,
        "began_at": rfc3339(row.began_at),
        "ended_at": rfc3339(row.ended_at),
        "images": row.images,
        "drifted": row.drifted,
        "distances": _distances(row),
        "limit": round(row.limit, 4),
        "defect_share": round(row.defect_share, 4),
        "counts": cast(DriftCounts, row.counts),
    }


def _distances(row: DriftWindowRecord) -> DriftDistances:
    return cast(DriftDistances, {measure: round(distance, 4) for measure, distance in row.distances.items()})
