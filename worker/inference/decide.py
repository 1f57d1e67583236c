"""The verdict of one item: its logit, calibrated to a score, against the operating point of its batch."""

import math

from shared.contract.operating_point import InvalidOperatingPoint, OperatingPoint
from shared.contract.states import Verdict
from shared.errors import ItemError
from shared.lifecycle.claims import Claim
from shared.lifecycle.verdicts import Result
from shared.vision.decision import calibrated_score, decide, reasons_for
from worker.inference.decode import Decoded
from worker.inference.loaded import LoadedModel, Prediction


def decide_item(
    claim: Claim, image: Decoded, prediction: Prediction | None, model: LoadedModel, infer_ms: float
) -> Result:
    """The item's verdict; `inference_failed` if the network gave nothing (None), or a logit that is no number."""
    try:
        if prediction is None:
            raise ItemError("inference_failed", "the network failed on this image")
        score = calibrated_score(prediction.logit, model.artifact.calibration)
        # A batch that an older version accepted may have a threshold outside its band.
        point = OperatingPoint(claim.threshold, claim.review_low, claim.review_high)
    except (ItemError, ValueError, InvalidOperatingPoint) as error:
        return Result(
            image.seq, error_code="inference_failed", error_detail=str(error), decode_ms=image.decode_ms
        )
    verdict = decide(score, point, prediction.unlike)
    return Result(
        image.seq,
        verdict=verdict.value,
        score=score,
        decode_ms=image.decode_ms,
        infer_ms=infer_ms,
        reasons=reasons_for(score, point, prediction.unlike),
        raw_score=_finite(prediction.logit),
        unfamiliarity=_finite(prediction.unfamiliarity),
        kind=None if prediction.unlike or verdict is Verdict.NO_DEFECT else prediction.kind,
        judge_id=model.judges.get(prediction.network),
    )


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None
