"""The options that a client asks for, given to an intake."""

from shared.webhooks import addresses
from web.upload.intake import Intake
from web.upload.options import read_options


def take_options(intake: Intake, text: bytes) -> None:
    """Check the options of a JSON text and give them to an intake; raises 400, or 422 for a forbidden webhook."""
    options = read_options(text)
    if (webhook := options.get("webhook")) is not None:
        # Refused now rather than at the first delivery, which judges the address again after DNS.
        try:
            addresses.check_url(webhook["url"], intake.settings.webhook_allowed_networks)
        except addresses.ForbiddenAddress as error:
            error.pointer = "/options/webhook/url"
            raise
    intake.set_options(options)
