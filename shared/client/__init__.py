"""The typed Python client of the HTTP API: `from shared.client import Client`."""

from shared.client.client import Client, Options
from shared.client.errors import ApiError, OtherImages, ResultsCut, Unreachable, UnusableInput
from shared.client.webhooks import WrongSignature, verify_webhook

__all__ = [
    "ApiError",
    "Client",
    "Options",
    "OtherImages",
    "ResultsCut",
    "Unreachable",
    "UnusableInput",
    "WrongSignature",
    "verify_webhook",
]
