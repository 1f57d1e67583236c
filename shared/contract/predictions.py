"""The answer of `/predict`."""

from collections.abc import Mapping
from typing import Annotated

from typing_extensions import TypedDict

from shared.contract.fields import About, OneOf
from shared.contract.items import ItemPayload, item_payload
from shared.contract.states import Verdict
from shared.store.records import ItemRecord, JudgeRecord


class PredictionPayload(TypedDict):
    filename: str
    prediction: Annotated[str, OneOf(Verdict)]
    probability: Annotated[float, About("of a defect")]
    confidence: Annotated[
        float,
        About(
            "calibrated probability that the prediction is right, whatever the threshold: `probability` for "
            "defect, 1 - `probability` for no_defect; for review, the larger of the two"
        ),
    ]
    item: ItemPayload


def prediction_payload(row: ItemRecord, judges: Mapping[int, JudgeRecord]) -> PredictionPayload:
    """The answer of the original `/predict`: probability of a defect, and confidence in the prediction."""
    if row.score is None or row.verdict is None:
        raise ValueError(f"the item {row.seq} of {row.batch_id} has no verdict")
    probability = row.score
    return {
        "filename": row.filename,
        "prediction": row.verdict,
        "probability": probability,
        "confidence": _confidence(row.verdict, probability),
        "item": item_payload(row, judges),
    }


def _confidence(verdict: str, probability: float) -> float:
    by_verdict = {Verdict.DEFECT.value: probability, Verdict.NO_DEFECT.value: 1 - probability}
    return by_verdict.get(verdict, max(probability, 1 - probability))
