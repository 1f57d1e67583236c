"""The faults of parts, computed from the items by a rule of its own, for the fault checker and the walks."""

from collections import Counter, defaultdict
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from shared.contract.reviews import DONE
from shared.lifecycle import judged, judged_parts
from shared.store.records import BatchRecord, PartRecord
from shared.store.tables import Batch, Delivery, Item, Part, ReviewEntry

OPEN = {"queued", "processing"}


class View(NamedTuple):
    """An image of a part."""

    batch_id: str
    part_id: str
    status: str
    verdict: str | None
    view: str | None


def part_faults(connection: Connection) -> list[str]:
    """A sentence for each fault: a part without a row, verdict or event, or with more than one; a wrong counter."""
    batches = {row.id: row for row in map(BatchRecord._make, connection.execute(select(Batch.__table__)))}
    views: defaultdict[tuple[str, str], list[View]] = defaultdict(list)
    # A person's final verdict on a view goes before the model's.
    final = func.coalesce(ReviewEntry.verdict, judged.NOW).label("verdict")
    done = (
        (ReviewEntry.batch_id == Item.batch_id) & (ReviewEntry.seq == Item.seq) & (ReviewEntry.status == DONE)
    )
    items = select(Item.batch_id, Item.part_id, Item.status, final, Item.view).join(
        Batch, Batch.id == Item.batch_id
    )
    items = items.outerjoin(ReviewEntry, done)
    for view in map(View._make, connection.execute(items.where(Item.part_id.is_not(None)))):
        if batches[view.batch_id].sealed:
            views[view.batch_id, view.part_id].append(view)
    shown = select(*judged_parts.columns()).join(Batch, Batch.id == Part.batch_id)
    rows = map(PartRecord._make, connection.execute(shown))
    parts = {(row.batch_id, row.part_id): row for row in rows}
    events = select(Delivery.batch_id, Delivery.subject, Delivery.run)
    owed = Counter(
        (row[0], row[1], row[2])
        for row in connection.execute(
            events.where(Delivery.event == "part.completed", Delivery.endpoint_id == "")
        )
    )
    runs = Counter((batch_id, part_id) for batch_id, part_id, _ in owed)
    faults = [f"{place} has images and no row" for place in views.keys() - parts.keys()]
    faults += [f"{place} has a row and no images" for place in parts.keys() - views.keys()]
    faults += [f"{place} has {count} events" for place, count in owed.items() if count > 1]
    for place in views.keys() & parts.keys():
        batch, part = batches[place[0]], parts[place]
        faults += _faults_of(part, batch, views[place])
        sent = runs[place]
        wanted = "part.completed" in ((batch.webhook and batch.webhook.get("events")) or [])
        # A retry opens a part again, which then ends with an event of the next run.
        least = int(part.finished_at is not None)
        if wanted and not least <= sent <= batch.run - (part.finished_at is None and batch.run == 1):
            faults.append(f"{place} is {part.verdict} in run {batch.run} and has {sent} events")
    for batch in batches.values():
        seen = Counter(row.verdict for row in parts.values() if row.batch_id == batch.id)
        said = {"total": batch.parts, "defect": batch.defect_parts, "no_defect": batch.no_defect_parts,
                "review": batch.review_parts}  # fmt: skip
        counted = {"total": seen.total(), **{name: seen[name] for name in ("defect", "no_defect", "review")}}
        if said != counted:
            faults.append(f"{batch.id} says {said}, its parts are {counted}")
    return faults


def _faults_of(part: PartRecord, batch: BatchRecord, views: list[View]) -> list[str]:
    name = f"{part.batch_id} {part.part_id}"
    if part.total != len(views):
        return [f"{name} has {part.total} views, its images are {len(views)}"]
    is_open = any(view.status in OPEN for view in views)
    if is_open != (part.finished_at is None) or is_open != (part.verdict is None):
        return [f"{name} is {part.verdict} and {'has' if is_open else 'has no'} open image"]
    if not is_open and part.verdict != _verdict(batch, views):
        return [f"{name} is {part.verdict}, its views give {_verdict(batch, views)}"]
    return []


def _verdict(batch: BatchRecord, views: list[View]) -> str:
    found = [view.verdict for view in views]
    if {*(batch.expected_views or [])} - {view.view for view in views}:
        return "review"
    strong, weak = ("no_defect", "defect") if batch.part_rule == "all_defect" else ("defect", "no_defect")
    return strong if strong in found else weak if set(found) == {weak} else "review"
