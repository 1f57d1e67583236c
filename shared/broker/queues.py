"""The names of queues, tasks and channels. Each lane is a queue."""

from shared.contract.states import Lane

WEBHOOKS = "webhooks"
UPKEEP = "upkeep"
LANES = tuple(lane.value for lane in Lane)
QUEUES = (*LANES, WEBHOOKS, UPKEEP)

INFER = "worker.infer"
THUMBNAIL = "worker.thumbnail"
DELIVER = "worker.deliver"

EVENTS_CHANNEL = "gonogo:batches"
