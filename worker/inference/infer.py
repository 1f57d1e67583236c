"""The path of a chunk: claim, decode, predict, decide, record, complete. Small chunks share a micro-batch."""

import time
from functools import partial

from shared import failpoints
from shared.broker import messages
from shared.broker.wake import wake
from shared.errors import ArtifactError
from shared.lifecycle import endings
from shared.store.engine import retrying
from worker.inference.claim import claim, hand_back
from worker.inference.known import known_results
from worker.inference.missing import give_up
from worker.inference.predict import predict_chunks
from worker.inference.record import abort, record
from worker.inference.runtime import Runtime


def infer_chunks(runtime: Runtime, lane: str) -> bool:
    """Work on the oldest queued chunk of a lane, and on small ones that fit with it; False if none is queued.

    Safe to repeat and to lose: the claim is a compare-and-set, the record is fenced by the lease's token, and a chunk
    whose worker dies in between comes back when its lease ends.
    """
    held = retrying(partial(claim, runtime, lane))
    if not held:
        return False
    failpoints.hit("worker.claimed")
    with runtime.heartbeat.holding(held):
        messages.take_back(runtime.broker, [claimed.lane for claimed in held[1:]])
        try:
            model = runtime.models.get(held[0].model_id)
        except ArtifactError as error:
            hand_back(runtime, held, "model_refused", error.detail)
            return False
        known = known_results(runtime, held, model)
        began = time.perf_counter()
        done, missing = predict_chunks(runtime, held, model, known)
        looked_at = sum(result.cached_from is None for _, results in done for result in results)
        runtime.pace.add(looked_at, time.perf_counter() - began)
        if missing:
            if not runtime.blobs.is_there():
                hand_back(runtime, held, "store_missing", "the blob store is not there")
                return False
            done += give_up(runtime, missing)
        failpoints.hit("worker.predicted")
        recorded = retrying(partial(record, runtime, done, model))
    failpoints.hit("worker.recorded")
    wake(runtime.broker, *(batch.batch_id for batch in recorded))
    for delivery_id in (each for batch in recorded for each in batch.deliveries):
        runtime.tell.delivery_owed(delivery_id)
    for batch in recorded:
        if batch.abort:
            retrying(partial(abort, runtime, batch.batch_id))
    ended = [batch.batch_id for batch in recorded if batch.open == 0 or batch.abort]
    if ended:
        retrying(partial(endings.end, runtime.database, runtime.tell, ended))
    return True
