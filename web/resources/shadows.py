"""Shadows of a tenant: started, stopped, and the candidate compared with the model version in use."""

from collections import Counter

from sqlalchemy import Connection, func, literal_column, or_, select

from shared.access import audit
from shared.access.audit import Actor
from shared.contract.pages import ListPayload, page
from shared.contract.queries import ShadowListQuery
from shared.contract.reviews import DONE
from shared.contract.shadow_advice import exact, recommend
from shared.contract.shadows import ShadowReport, ShadowRequest, ShadowReviews, shadow_payload
from shared.contract.states import Verdict
from shared.lifecycle import judged, reviews, shadows
from shared.registry import versions
from shared.store.shadow_records import ShadowRecord
from shared.store.tables import Batch, Item, ReviewEntry, Shadow, ShadowScore
from web.http.cursors import Cursors
from web.http.problems import HttpProblem, not_found
from web.service import Service

_SHOWN = 2  # a report of MOST scores takes a database some 15 ms
_SCORED = (ShadowScore.batch_id == Item.batch_id) & (ShadowScore.seq == Item.seq)
_REVIEWED = (
    select(ShadowScore.batch_id, ShadowScore.seq, judged.NOW, ShadowScore.verdict)
    .join(Item, _SCORED)
    .join(Batch, Batch.id == Item.batch_id)
    .join(ReviewEntry, (ReviewEntry.batch_id == ShadowScore.batch_id) & (ReviewEntry.seq == ShadowScore.seq))
    .where(ReviewEntry.status == DONE)
)
_PAIRS = (
    select(judged.NOW.label("judged"), ShadowScore.verdict, func.count())
    .join(Item, _SCORED)
    .join(Batch, Batch.id == Item.batch_id)
    .group_by(literal_column("judged"), ShadowScore.verdict)
)


def start(here: Service, tenant: str, asked: ShadowRequest, actor: Actor) -> tuple[ShadowRecord, bool]:
    """Start a shadow; one that runs already comes with False. Raises 409 where that has another share, and 422 for a
    version that is not there."""
    with here.database.write() as connection:
        model = versions.find(connection, asked.get("model"), tenant)
        candidate = versions.find(connection, asked["candidate"], tenant)
        if model.id == candidate.id:
            raise HttpProblem(409, "wrong_state", f"{model.id} can't be its own candidate")
        row, made = shadows.start(connection, tenant, model.id, candidate.id, asked["share"], actor.key_id)
        if row.share != asked["share"]:
            raise HttpProblem(
                409, "wrong_state", f"{row.id} scores {row.share:g} of the images: stop it first"
            )
        if made:
            audit.append(
                connection, actor, "shadow.start", tenant=tenant, object_id=row.id, model=model.id,
                candidate=candidate.id, share=row.share,
            )  # fmt: skip
    return row, made


def stop(here: Service, tenant: str, shadow_id: str, actor: Actor) -> ShadowRecord:
    """Stop a shadow; one that was stopped stays as it is. Raises 404."""
    find(here, tenant, shadow_id)
    with here.database.write() as connection:
        if shadows.stop(connection, shadow_id, actor.key_id):
            audit.append(connection, actor, "shadow.stop", tenant=tenant, object_id=shadow_id)
    return find(here, tenant, shadow_id)


def find(here: Service, tenant: str, shadow_id: str) -> ShadowRecord:
    """A shadow of the tenant; raises 404."""
    with here.database.read() as connection:
        row = shadows.find(connection, tenant, shadow_id)
    if row is None:
        raise not_found(f"shadow {shadow_id}")
    return row


def page_of(here: Service, tenant: str, query: ShadowListQuery) -> ListPayload:
    """A page of a tenant's shadows, the newest first."""
    cursors, limit = Cursors("shadows", tenant, query=query), query["limit"]
    rows = select(Shadow.__table__).where(Shadow.tenant == tenant).order_by(Shadow.id.desc())
    if (cursor := cursors.decode(str)) is not None:
        rows = rows.where(Shadow.id < cursor[0])
    with here.database.read() as connection:
        found = [ShadowRecord._make(row) for row in connection.execute(rows.limit(limit + 1))]
    following = cursors.encode(found[limit - 1].id) if len(found) > limit else None
    return page([shadow_payload(row) for row in found[:limit]], following)


def of_version(here: Service, tenant: str, model_id: str) -> list[ShadowReport]:
    """The newest shadows in which a version judges or is the candidate, with their diff: at most `_SHOWN`."""
    rows = select(Shadow.__table__).where(
        Shadow.tenant == tenant, or_(Shadow.model_id == model_id, Shadow.candidate_id == model_id)
    )
    with here.database.read() as connection:
        found = connection.execute(rows.order_by(Shadow.id.desc()).limit(_SHOWN)).all()
    return [_reported(here, ShadowRecord._make(row)) for row in found]


def report(here: Service, tenant: str, shadow_id: str) -> ShadowReport:
    """A shadow with its diff and the recommendation. Raises 404."""
    return _reported(here, find(here, tenant, shadow_id))


def _reported(here: Service, row: ShadowRecord) -> ShadowReport:
    shadow_id = row.id
    with here.database.read() as connection:
        pairs = Counter[tuple[str, str]]()
        grouped = _PAIRS.where(ShadowScore.shadow_id == shadow_id)
        for before, after, count in connection.execute(grouped):
            pairs[str(before), str(after)] += count
        reviewed = _reviewed(connection, shadow_id)
    images = pairs.total()
    agree = sum(count for (before, after), count in pairs.items() if before == after)
    return {
        **shadow_payload(row),
        "images": images,
        "agree": agree,
        "to_defect": _turned(pairs, Verdict.DEFECT),
        "to_no_defect": _turned(pairs, Verdict.NO_DEFECT),
        "changes": [
            {"before": before, "after": after, "count": count}
            for (before, after), count in sorted(pairs.items())
            if before != after
        ],
        "flip_rate": exact(images - agree, images),
        "reviewed": reviewed,
        "recommendation": recommend(images, images - agree, reviewed),
    }


def _turned(pairs: Counter[tuple[str, str]], verdict: Verdict) -> int:
    return sum(count for (before, after), count in pairs.items() if after == verdict != before)


def _reviewed(connection: Connection, shadow_id: str) -> ShadowReviews:
    found = connection.execute(_REVIEWED.where(ShadowScore.shadow_id == shadow_id)).all()
    persons = reviews.of(connection, [(row[0], row[1]) for row in found])
    seen = Counter[tuple[bool, bool]]()
    for batch_id, seq, model, candidate in found:
        person = persons.get((batch_id, seq))
        if person is not None and Verdict.REVIEW not in (model, candidate):
            seen[model == person["verdict"], candidate == person["verdict"]] += 1
    return {
        "images": seen.total(),
        "both_right": seen[True, True],
        "both_wrong": seen[False, False],
        "only_model_right": seen[True, False],
        "only_candidate_right": seen[False, True],
    }
