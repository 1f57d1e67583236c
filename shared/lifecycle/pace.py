"""How fast the items of a batch end, measured in its row for the ETA (shared/contract/eta.py).

`mark_at` and `mark_done` are a time and how many items workers had judged by then; `pace_at` and `pace_done` are the
mark before. A record that finds the mark older than WINDOW_S sets a new one, so the speed since `pace_at` covers the
last one or two windows: it follows a batch that waits behind others, or whose workers were away. The first claim sets
both marks; a pause that ends and a retry remove them, so idle time is not measured.
"""

from sqlalchemy import and_, bindparam, case, func, null

from shared.store.engine import clock
from shared.store.tables import Batch

WINDOW_S = 20.0
_JUDGED = Batch.succeeded + Batch.failed
_IS_OLD = and_(Batch.mark_at.is_not(None), Batch.mark_at < clock() - bindparam("window_s"))

# For an update of the batch that a worker begins to work on.
BEGUN: dict[str, object] = {
    "pace_at": func.coalesce(Batch.pace_at, clock()),
    "pace_done": case((Batch.pace_at.is_(None), _JUDGED), else_=Batch.pace_done),
    "mark_at": func.coalesce(Batch.mark_at, clock()),
    "mark_done": case((Batch.mark_at.is_(None), _JUDGED), else_=Batch.mark_done),
}
# For the update that counts `n` judged items, with the parameter `window_s`. It sees the values before the update.
COUNTED: dict[str, object] = {
    "pace_at": case((_IS_OLD, Batch.mark_at), else_=Batch.pace_at),
    "pace_done": case((_IS_OLD, Batch.mark_done), else_=Batch.pace_done),
    "mark_at": case((_IS_OLD, clock()), else_=Batch.mark_at),
    "mark_done": case((_IS_OLD, _JUDGED + bindparam("n")), else_=Batch.mark_done),
}
# For an update that lets workers go on after a time in which they could not.
FORGOTTEN: dict[str, object] = {"pace_at": null(), "mark_at": null()}
