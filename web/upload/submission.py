"""A whole submission of one request: received and sealed, or undone. Idempotency keys are honoured here."""

import time
from dataclasses import dataclass

from shared.access.audit import SERVICE, Actor
from shared.errors import Unavailable
from shared.lifecycle import idempotency
from shared.lifecycle.idempotency import First
from shared.store.records import BatchRecord
from web.http import idempotency as keyed
from web.http.problems import HttpProblem
from web.service import Service
from web.upload.body import Body
from web.upload.inputs import JSON, receive_inputs
from web.upload.intake import Intake
from web.upload.options import makes_secret
from web.upload.receive import check_header, receive

_TAKES = "multipart/form-data with `images` parts or one `archive`, or application/json with `inputs`"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The batch of a submission; `replayed` if an earlier submission with the same key made it.

    `row` is the batch if it is at hand. `shows_secret` if the answer must show the secret of the webhook, since the
    service made it.
    """

    batch_id: str
    replayed: bool
    shows_secret: bool = False
    row: BatchRecord | None = None


def submit(
    service: Service,
    tenant: str,
    body: Body,
    *,
    key: str | None = None,
    traceparent: str | None = None,
    actor: Actor = SERVICE,
    draft: bool = False,
) -> Accepted:
    """Receive a submission whole, or undo it. With an idempotency key, the first upload of a content wins."""
    began = time.perf_counter()
    keyed.check(key)
    receive_body = receive_inputs if body.media_type == JSON else _receive_form
    if body.media_type != JSON:
        check_header(body, service.settings.max_request_bytes, takes=_TAKES)
    try:
        service.capacity.check(tenant, body.length or 0)
    except (HttpProblem, Unavailable):
        # A submission that was accepted before is answered again, however full the service is: it adds no work.
        if not _is_finished(service, tenant, key):
            raise
    intake = Intake(service, tenant, traceparent=traceparent, key=key, actor=actor, draft=draft)
    first = _claim(service, intake)
    intake.store = first is None
    try:
        with intake.memory:
            receive_body(body, intake)
            if first is not None:
                return _replay(intake, first)
            intake.seal()
    except BaseException:
        if first is None:
            _undo(service, intake)
        raise
    service.tallies.took("upload", time.perf_counter() - began)
    return Accepted(intake.batch_id, False, makes_secret(intake.options), intake.row)


def _receive_form(body: Body, intake: Intake) -> None:
    receive(body, intake, intake.settings.max_request_bytes)


def _undo(service: Service, intake: Intake) -> None:
    intake.abandon()
    if intake.key is not None:
        with service.database.write() as connection:
            idempotency.drop(connection, intake.batch.tenant, intake.key, intake.batch_id)


def _is_finished(service: Service, tenant: str, key: str | None) -> bool:
    if key is None:
        return False
    with service.database.read() as connection:
        return idempotency.is_finished(connection, tenant, key)


def _claim(service: Service, intake: Intake) -> First | None:
    """The finished first upload with this key; None if the key is ours now, or there is none."""
    if intake.key is None:
        return None
    lease_s = service.settings.upload_lease_s
    with service.database.write() as connection:
        first = idempotency.claim(connection, intake.batch.tenant, intake.key, intake.batch_id, lease_s)
    if first is not None and first.fingerprint is None:
        wait = round(lease_s / 4) or 1
        raise HttpProblem(
            409, "idempotency_key_in_use", "an upload with this key is running", retry_after_s=wait
        )
    if first is not None and first.deleted:
        raise keyed.batch_deleted(first.batch_id)
    return first


def _replay(intake: Intake, first: First) -> Accepted:
    if intake.fingerprint() != first.fingerprint:
        raise keyed.reused()
    return Accepted(first.batch_id, True, makes_secret(intake.options))
