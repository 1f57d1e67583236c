"""A secret is rotated again, by a repetition or on purpose, and no receiver loses the secret that it knows."""

import time

from sqlalchemy import update
from standardwebhooks.webhooks import Webhook

from shared.store.tables import WebhookEndpoint
from shared.webhooks.endpoints import MOST_SECRETS_IN_GRACE
from tests.harness.application import Application
from tests.harness.endpoints import TOP, make, send_due
from tests.harness.receivers import Receiver


def signatures(app: Application, receiver: Receiver, this: str, *secrets: str) -> int:
    """How many signatures a message has; each of the secrets verifies it."""
    app.call("POST", f"{this}/test")
    assert send_due(app) == ["delivered"]
    (_, headers, body) = receiver.posts[-1]
    for secret in secrets:
        Webhook(secret).verify(body, headers)
    return len(headers["webhook-signature"].split())


def test_a_repeated_rotation_shows_the_same_secret_and_rotates_once(
    app: Application, receiver: Receiver
) -> None:
    made = make(app, receiver.url)
    this = f"{TOP}/{made['id']}"
    first, again = (
        app.call("POST", f"{this}/rotate-secret", json={"grace": 3600}, Idempotency_Key="k").get_json()
        for _ in range(2)
    )
    assert first == again
    assert signatures(app, receiver, this, made["secret"], first["secret"]) == 2
    other = app.call("POST", f"{this}/rotate-secret", json={"grace": 60}, Idempotency_Key="k")
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")
    assert len(app.get(f"/v1/audit?action=webhook.rotate&object_id={made['id']}")["data"]) == 1


def test_each_secret_signs_until_its_own_grace_is_over(app: Application, receiver: Receiver) -> None:
    made = make(app, receiver.url)
    this = f"{TOP}/{made['id']}"
    second = app.call("POST", f"{this}/rotate-secret", json={"grace": 7200}).get_json()
    third = app.call("POST", f"{this}/rotate-secret", json={"grace": 60}).get_json()
    assert third["old_secret_until"] == second["old_secret_until"], "the end of the last of them"
    assert signatures(app, receiver, this, made["secret"], second["secret"], third["secret"]) == 3
    with app.database.write() as connection:
        connection.execute(update(WebhookEndpoint).values(old_secret_until=time.time() - 1))
    assert signatures(app, receiver, this, made["secret"], third["secret"]) == 2
    last = app.call("POST", f"{this}/rotate-secret", json={"grace": 0}).get_json()
    assert last["old_secret_until"] is None
    assert signatures(app, receiver, this, last["secret"]) == 1


def test_the_secrets_in_their_grace_are_bounded(app: Application, receiver: Receiver) -> None:
    this = f"{TOP}/{make(app, receiver.url)['id']}"
    for _ in range(MOST_SECRETS_IN_GRACE):
        assert app.call("POST", f"{this}/rotate-secret", json={}).status_code == 200
    refused = app.call("POST", f"{this}/rotate-secret", json={})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "wrong_state")
    assert signatures(app, receiver, this) == 1 + MOST_SECRETS_IN_GRACE
