"""Results of images whose bytes the same model version has judged before, for the same tenant."""

from collections.abc import Sequence
from functools import partial

from shared.contract.operating_point import InvalidOperatingPoint, OperatingPoint
from shared.contract.states import UNLIKE, Reason, Verdict
from shared.ids import item_id
from shared.lifecycle import known_images
from shared.lifecycle.claims import Claim
from shared.lifecycle.known_images import Score
from shared.lifecycle.verdicts import Result
from shared.store.engine import Database, retrying
from shared.vision.decision import decide, reasons_for
from worker.inference.loaded import LoadedModel
from worker.inference.runtime import Runtime

Known = dict[int, list[Result]]  # by the chunk's id


def known_results(runtime: Runtime, held: Sequence[Claim], model: LoadedModel) -> Known:
    """The results of claimed items that need no inference, with the verdict at the operating point of their batch."""
    hopeful = [claim for claim in held if any(item.known for item in claim.items) and _has_point(claim)]
    if not hopeful:
        return {}
    found = retrying(partial(_scores, runtime.database, hopeful))
    return {
        claim.chunk_id: [
            result for score in scores if _is_whole(score, result := result_of_score(claim, score), model)
        ]
        for claim, scores in zip(hopeful, found, strict=True)
    }


def _has_point(claim: Claim) -> bool:
    """False where an older version accepted a wrong one: inference then says what is wrong with it."""
    try:
        OperatingPoint(claim.threshold, claim.review_low, claim.review_high)
    except InvalidOperatingPoint:
        return False
    return True


def _scores(database: Database, claims: Sequence[Claim]) -> list[list[Score]]:
    with database.read() as connection:
        return [_of_claim(known_images.scores(connection, *_place(claim)), claim) for claim in claims]


def _place(claim: Claim) -> tuple[str, int, int]:
    return claim.batch_id, claim.items[0].seq, claim.items[-1].seq


def _of_claim(scores: Sequence[Score], claim: Claim) -> list[Score]:
    mine = {item.seq for item in claim.items}
    return [score for score in scores if score.seq in mine]


def _is_whole(score: Score, result: Result, model: LoadedModel) -> bool:
    """Whether the result has the guess of its kind. A defect that was none by the point of its batch has kept no
    guess: where it is one by this point, the network must look again."""
    was_passed = score.verdict == Verdict.NO_DEFECT and score.kind is None
    return model.kinds is None or not was_passed or result.verdict == Verdict.NO_DEFECT


def result_of_score(claim: Claim, score: Score) -> Result:
    """The result of an item of the claim that has this score."""
    point = OperatingPoint(claim.threshold, claim.review_low, claim.review_high)
    unlike = tuple(Reason(reason) for reason in (score.reasons or "").split(",") if reason in UNLIKE)
    verdict = decide(score.score, point, unlike)
    return Result(
        score.seq,
        verdict=verdict.value,
        score=score.score,
        reasons=reasons_for(score.score, point, unlike),
        raw_score=score.raw_score,
        unfamiliarity=score.unfamiliarity,
        kind=None if unlike or verdict is Verdict.NO_DEFECT else score.kind,
        judge_id=score.judge_id,
        cached_from=item_id(score.of_batch, score.of_seq),
    )
