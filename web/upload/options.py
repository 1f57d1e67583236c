"""The `options` part of a submission, checked against the contract."""

from typing import cast

from shared.contract.options import Options
from shared.json_text import JsonObject
from shared.store.documents import Webhook
from shared.webhooks.signing import new_secret
from web.http import validators


def read_options(text: bytes | str = b"{}") -> Options:
    """The options of a JSON text, defaults filled in; raises 400 naming each bad entry by its pointer."""
    return cast(Options, validators.read_json(Options, text, validators.OPTIONS))


def webhook_of(options: Options) -> Webhook | None:
    """The receiver to store with the batch: a secret is made where the client sent none."""
    asked = options.get("webhook")
    if asked is None:
        return None
    return {"url": asked["url"], "secret": asked.get("secret") or new_secret(), "events": asked.get("events")}


def makes_secret(options: Options | None) -> bool:
    """Whether the answer must show the webhook's secret, since the client sent none."""
    webhook = options.get("webhook") if options else None
    return webhook is not None and not webhook.get("secret")


def without_secret(options: Options) -> JsonObject:
    """The options as a draft keeps and shows them."""
    shown: JsonObject = {**options}
    if (webhook := options.get("webhook")) is not None:
        shown["webhook"] = {name: value for name, value in webhook.items() if name != "secret"}
    return shown
