"""Two installations and another Celery application on one Redis database leave each other's messages alone."""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from celery import Celery

from shared.broker import address, queues
from shared.broker.connection import open_broker
from shared.broker.wake import listen, wake
from shared.errors import SettingsError
from shared.settings import Settings
from shared.store.engine import Database
from shared.store.installation import named
from tests.harness.application import Application
from tests.harness.processes import free_port, until
from tests.harness.stack import Stack, running

pytestmark = pytest.mark.timeout(240)
FOREIGN = 5


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[tuple[Stack, Stack]]:
    """Two whole installations. A message that the other one takes would be missed for 30 s."""
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    with running(first, [artifact], workers=1, republish_s=30.0) as one:
        settings = replace(one.settings, installation="", data_dir=second, port=free_port())
        two = Stack(second, settings)
        two.prepare([artifact])
        try:
            two.start("web", "bulk", "interactive", "webhooks", "sweep")
            two.wait_ready(90)
            yield one, two
        finally:
            two.stop()


def send_foreign(settings: Settings) -> None:
    """Messages of an application that has queues and tasks of the same names, and no prefix."""
    with Celery(
        "foreign", broker=address.read(settings.broker).celery()["broker_url"], set_as_current=False
    ) as app:
        for name in queues.QUEUES:
            for _ in range(FOREIGN):
                app.send_task(queues.INFER, args=["normal"], queue=name)


def test_each_does_its_own_work_at_once_and_foreign_messages_stay(
    stacks: tuple[Stack, Stack], images: dict[str, bytes]
) -> None:
    send_foreign(stacks[0].settings)
    (name, data), *_ = images.items()
    took = []
    for number in range(8):
        stack = stacks[number % 2]
        began = time.monotonic()
        batch = stack.submit({f"{number}-{name}": data}, {"priority": "interactive"})
        stack.finish(batch["id"], 25)
        took.append(time.monotonic() - began)
    for stack in stacks:
        stack.finish(stack.submit(dict(list(images.items())[:50]))["id"], 25)
    assert max(took) < 20, took
    with redis.Redis.from_url(stacks[0].settings.broker) as client:
        left = {name: client.llen(name) for name in queues.QUEUES}
        keys = {key.decode() for key in client.keys("*")}
    assert left == dict.fromkeys(queues.QUEUES, FOREIGN)
    prefixes = tuple(queues.prefix(stack.settings) for stack in stacks)
    bare = {key for key in keys if not key.startswith(prefixes)}
    assert {key for key in bare if not key.startswith("_kombu.binding")} == {*queues.QUEUES}
    assert {f"{prefix}_kombu.binding.normal" for prefix in prefixes} <= keys


def test_a_wake_up_call_reaches_its_own_installation_only(app: Application) -> None:
    other = replace(app.service.settings, installation="other")
    stop, heard = threading.Event(), queue.SimpleQueue[str]()

    def hear() -> None:
        for identifier in listen(other, stop):
            heard.put(identifier)
            stop.set()

    thread = threading.Thread(target=hear)
    thread.start()
    broker = open_broker(other)
    channel = broker.key(queues.EVENTS_CHANNEL)
    until(lambda: broker.client.pubsub_numsub(channel)[0][1], 20, "it listens")
    wake(app.runtime.broker, "bat_of_app")
    wake(broker, "bat_of_other")
    assert heard.get(timeout=20) == "bat_of_other"
    thread.join(20)


def test_the_id_is_made_once_and_stays(database: Database) -> None:
    first = named(Settings(), database)
    assert len(first.installation) == 12
    assert named(Settings(), database) == first
    assert named(replace(Settings(), installation="given"), database).installation == "given"


def test_two_processes_that_ask_first_get_one_id(database_url: str, database: Database) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def ask(_: int) -> str:
        own = Database(database_url)
        try:
            return named(Settings(), own).installation
        finally:
            own.dispose()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


def test_without_an_id_nothing_is_sent_under_a_name_that_another_may_have() -> None:
    with pytest.raises(SettingsError, match="GONOGO_INSTALLATION"):
        open_broker(Settings(broker_url="redis://127.0.0.1:1/0"))
