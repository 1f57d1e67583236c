"""Announces committed chunks from a thread of its own, so that no upload waits for the broker."""

import queue
import threading

from celery import Celery

from shared.broker import messages
from shared.broker.connection import open_broker
from shared.settings import Settings


class Announcer:
    """A thread that sends one message a chunk.

    The sweep sends the messages that fail here or that die with the process: a queued row is the truth, its message
    only a hint.
    """

    def __init__(self, settings: Settings, celery: Celery) -> None:
        self._celery = celery
        self._chunks = messages.ChunkMessages(open_broker(settings))
        self._jobs: queue.SimpleQueue[tuple[str, str, list[object]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
        self._thread.start()

    def chunk_queued(self, lane: str) -> None:
        """Tell the workers of a lane that one more chunk is queued."""
        self._jobs.put(("", lane, []))

    def send(self, task: str, args: list[object], queue_name: str) -> None:
        """Send any other task."""
        self._jobs.put((task, queue_name, args))

    def stop(self, timeout_s: float = 5.0) -> None:
        """Send the waiting messages and end the thread, in `timeout_s` at most."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            task, lane, args = job
            if task:
                messages.send(self._celery, task, args, lane)
            else:
                self._chunks.send(lane)
