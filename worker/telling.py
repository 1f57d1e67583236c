"""How a worker and the sweep tell of a batch that ended."""

from celery import Celery

from shared.broker import messages, queues
from shared.broker.connection import Broker
from shared.broker.wake import wake
from shared.lifecycle.endings import Tell
from shared.settings import Settings


def teller(app: Celery, broker: Broker, settings: Settings) -> Tell:
    """A message for each delivery that is owed, a wake-up call for each batch that changed."""
    return Tell(
        delivery_owed=lambda delivery_id: messages.send(app, queues.DELIVER, [delivery_id], queues.WEBHOOKS),
        batch_changed=lambda batch_id: wake(broker, batch_id),
        base=settings.public_base,
    )
