"""An entry of the audit trail as the contract shows it."""

import json
from typing import Annotated, Literal

from typing_extensions import TypedDict

from shared.clock import rfc3339
from shared.contract.fields import About, OneOf, Time
from shared.store.records import AuditRecord

Action = Literal[
    "batch.submit",
    "batch.append",
    "batch.tag",
    "batch.finalize",
    "batch.pause",
    "batch.resume",
    "batch.retry",
    "batch.rescore",
    "batch.rerun",
    "batch.cancel",
    "batch.delete",
    "model.upload",
    "model.activate",
    "model.rollback",
    "shadow.start",
    "shadow.stop",
    "review.claim",
    "review.skip",
    "review.give",
    "review.take_back",
    "key.create",
    "key.rotate",
    "key.revoke",
    "quota.set",
    "webhook.create",
    "webhook.change",
    "webhook.rotate",
    "webhook.disable",
    "webhook.delete",
    "webhook.test",
    "webhook.replay",
    "webhook.redeliver",
    "session.begin",
    "session.end",
    "session.refuse",
    "audit.prune",
]
# `object_id` of each action, and the members of `detail`.
ACTIONS: dict[Action, str] = {
    "batch.submit": "a batch was accepted: `items`, `origin` (`batch` or `predict`)",
    "batch.append": "a part was appended to a draft: `part`, `items`",
    "batch.tag": "the images of a draft got the ids, views and metadata of a manifest: `images`",
    "batch.finalize": "a draft was closed to appends",
    "batch.pause": "a batch was paused",
    "batch.resume": "a paused batch went on",
    "batch.retry": "the failed items of a batch were queued again",
    "batch.rescore": "a batch was judged by another operating point: `revision`, `threshold`, `review_band`",
    "batch.rerun": "the images of a batch were judged again as a new batch, the object: `rerun_of`, `model`",
    "batch.cancel": "a batch was cancelled",
    "batch.delete": "a batch was deleted with its images",
    "model.upload": "a model version was uploaded: `name`, `sha256`",
    "model.activate": "a model version was made the active one",
    "model.rollback": "an earlier model version was made the active one again",
    "shadow.start": "a candidate began to score a share of the images: `model`, `candidate`, `share`",
    "shadow.stop": "a candidate's scoring was stopped",
    "review.claim": "a person took an item of the review queue",
    "review.skip": "a person gave an item back to the review queue",
    "review.give": "a person gave a verdict on an item: `verdict`, `note`",
    "review.take_back": "a person took the verdict on an item back",
    "key.create": "an API key was made: `name`, `scopes`, `expires_at`",
    "quota.set": "bounds of a tenant were set: `changed`; `object_id` is the tenant",
    "key.rotate": "an API key was replaced: `replaced_by`, `grace` in seconds",
    "key.revoke": "an API key was revoked",
    "webhook.create": "a webhook endpoint was made: `url`, `events`",
    "webhook.change": "a webhook endpoint was changed: `changed` names the members; also enabled or disabled so",
    "webhook.rotate": "the secret of a webhook endpoint was replaced: `grace` in seconds",
    "webhook.disable": "the service disabled a webhook endpoint: `reason` (`gone` or `failing`), `failures`",
    "webhook.delete": "a webhook endpoint was deleted with its deliveries: `url`",
    "webhook.test": "a `test.ping` was sent to a webhook endpoint",
    "webhook.replay": "deliveries of a webhook endpoint were sent again: `deliveries`",
    "webhook.redeliver": "a delivery was sent again; `object_id` is the delivery",
    "session.begin": "a browser signed in",
    "session.end": "a browser signed out",
    "session.refuse": "a key or sign-in was refused: `prefix` of the key, and `times` since the entry before",
    "audit.prune": "entries past their retention were removed: `entries`, and the number of the last as `through`",
}


class AuditEntryPayload(TypedDict):
    """An action, and who took it. Entries are numbered within a chain, and each holds the hash of the one before."""

    id: str
    object: Literal["audit_entry"]
    tenant: Annotated[str, About("the tenant of the object; `*` where it is the installation's")]
    action: Annotated[str, OneOf(ACTIONS)]
    object_id: Annotated[str | None, About("the batch, model version, key or session")]
    key_id: Annotated[str | None, About("the API key that acted; null for the service and for unknown keys")]
    address: Annotated[str | None, About("the client's address; `local` for a command on the machine itself")]
    request_id: Annotated[str | None, About("as in `X-Request-Id` and in the access log")]
    detail: Annotated[dict[str, object], About("further facts, by the action")]
    created_at: Time
    chain: Annotated[int, About("the chain that holds the entry")]
    number: Annotated[int, About("its place in the chain, without gaps")]
    previous: Annotated[str, About("`hash` of the entry before")]
    hash: Annotated[str, About("SHA-256 over `previous` and the other members, as docs/access.md says")]


def audit_payload(row: AuditRecord) -> AuditEntryPayload:
    """An entry from its row."""
    return {
        "id": row.id,
        "object": "audit_entry",
        "tenant": row.tenant,
        "action": row.action,
        "object_id": row.object_id,
        "key_id": row.key_id,
        "address": row.address,
        "request_id": row.request_id,
        "detail": json.loads(row.detail),
        "created_at": rfc3339(row.at),
        "chain": row.chain,
        "number": row.seq,
        "previous": row.previous,
        "hash": row.hash,
    }
