"""The names of queues, tasks and channels. Each lane is a queue.

In the broker each key and channel begins with the installation's prefix: other installations, and other Celery
applications, may use the same Redis database.
"""

from shared.contract.states import Lane
from shared.errors import SettingsError
from shared.settings import Settings

WEBHOOKS = "webhooks"
FETCHES = "fetches"
UPKEEP = "upkeep"
DRAWINGS = "drawings"
SHADOWS = "shadows"
LANES = tuple(lane.value for lane in Lane)
QUEUES = (*LANES, WEBHOOKS, FETCHES, UPKEEP, DRAWINGS, SHADOWS)

INFER = "worker.infer"
DRAW = "worker.draw"
DELIVER = "worker.deliver"
FETCH = "worker.fetch"
TRIAL = "worker.trial"
SHADOW = "worker.shadow"

EVENTS_CHANNEL = "batches"


def prefix(settings: Settings) -> str:
    """The beginning of every key and channel. Raises SettingsError without an installation's id: two installations
    would share their names (see shared.store.installation)."""
    if not settings.installation:
        raise SettingsError("the installation has no id yet: GONOGO_INSTALLATION is empty")
    return f"gonogo:{settings.installation}:"
