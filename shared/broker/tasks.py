"""The Celery application that web and worker share, under settings whose losses and hangs were measured.

There is no result backend, since verdicts live in the database. Messages are JSON only. Every socket has a timeout,
since a half-open link would hang a worker for good.
"""

from typing import Any

from celery import Celery

from shared.broker import address
from shared.broker.queues import prefix
from shared.settings import Settings


def celery_app(settings: Settings) -> Celery:
    """The Celery application of one installation; tasks are sent to it by name."""
    app = Celery("gonogo", set_as_current=False)
    app.conf.update(celery_settings(settings))
    return app


def celery_settings(settings: Settings) -> dict[str, Any]:
    broker = address.read(settings.broker).celery()
    transport = broker.pop("transport")
    return {
        **broker,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            **transport,
            "global_keyprefix": prefix(settings),
            # A sender tries once: kombu would hold it for six seconds, and the sweep sends a lost message again. The
            # connection by which a worker takes messages has no such bound.
            "max_retries": 0,
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
        # `worker.request` settles the messages in hand when a connection breaks, so the prefetch count may stay.
        "worker_enable_prefetch_count_reduction": False,
        "worker_pool_start_method": "spawn",
        # A child reports up once its model is loaded. The default of 4 s would kill a slow child at every start.
        "worker_proc_alive_timeout": 120.0,
        "worker_max_tasks_per_child": 20_000,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
        # Else any client of the broker could end the workers, or let them serve other queues.
        "worker_enable_remote_control": False,
        "event_queue_expires": 60,
        "enable_utc": True,
    }
