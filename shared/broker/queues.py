"""Queue and task names, and the Celery settings that web and worker share.

The settings are those under which losses and hangs were measured to be bounded: no result backend (verdicts
live in the database), JSON only, sockets with a timeout (a half-open link would hang a worker for ever).
"""

from typing import Any

from celery import Celery

from shared.contract.states import Lane
from shared.settings import Settings

WEBHOOKS = "webhooks"
UPKEEP = "upkeep"
LANES = tuple(lane.value for lane in Lane)
QUEUES = (*LANES, WEBHOOKS, UPKEEP)

INFER = "worker.infer"
THUMBNAIL = "worker.thumbnail"
DELIVER = "worker.deliver"

EVENTS_CHANNEL = "gonogo:batches"


def celery_url(settings: Settings) -> str:
    """The broker as kombu spells it."""
    url = settings.broker
    return "redis+socket://" + url.removeprefix("unix://") if url.startswith("unix://") else url


def celery_app(settings: Settings) -> Celery:
    """A Celery application for one installation; tasks are sent to it by name."""
    app = Celery("gonogo", broker=celery_url(settings), set_as_current=False)
    app.conf.update(celery_settings(settings))
    return app


def celery_settings(settings: Settings) -> dict[str, Any]:
    return {
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": not settings.broker.startswith("unix://"),
            "health_check_interval": 5,
            "visibility_timeout": 3600,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "queue_order_strategy": "priority",
        },
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_timeout": False,
        "task_time_limit": settings.chunk_timeout_s,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_create_missing_queues": True,
        "worker_prefetch_multiplier": 1,
        # What was in hand when a connection broke is settled by `worker.request`: nothing to be careful of after it.
        "worker_enable_prefetch_count_reduction": False,
        "worker_pool_start_method": "spawn",
        # A child is up once its model is loaded; after 4 s, the default, a slow one would be killed, for ever.
        "worker_proc_alive_timeout": 120.0,
        "worker_max_tasks_per_child": 20_000,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
        "event_queue_expires": 60,
        "enable_utc": True,
    }
