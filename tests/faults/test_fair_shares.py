"""Row 44: a tenant floods a lane, eight receivers are silent, and other tenants do not feel it."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.rig import Rig, rig
from tests.harness.flood import archive, key_of, percentile, predict, submit
from tests.harness.images import jpegs
from tests.harness.processes import until
from tests.harness.receivers import Receiver

pytestmark = pytest.mark.timeout(400)
_IMAGES, _PREDICTIONS, _SILENT = 100_000, 300, 8
_SECRET = "whsec_" + "A" * 32


@pytest.mark.row(44)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_tenant_that_floods_a_lane_and_silent_receivers_are_felt_by_no_other_tenant(
    tmp_path: Path, artifact: Path, report_rig: Callable[[Rig], Rig], kind: str
) -> None:
    tar, [(_, image)] = archive(_IMAGES), jpegs(1, seed=1)
    processes = ("web", "sweep", "interactive", "webhooks")
    with ExitStack() as closing:
        made = rig(
            tmp_path, [artifact], kind, processes=processes, chunk_items=4096, micro_batch=32,
            lease_s=30.0, heartbeat_s=2.0, webhook_timeout_s=300.0,
        )  # fmt: skip
        ill = report_rig(closing.enter_context(made))
        stack = ill.stack
        flood, other, third = (key_of(stack, tenant) for tenant in ("flood", "other", "third"))
        submit(stack, flood, archive(500), ill.accepted)  # workers have measured their speed
        receivers = [Receiver() for _ in range(_SILENT + 1)]
        quick = receivers[-1]
        for one in receivers:
            closing.callback(one.close)
        gate = threading.Event()
        closing.callback(gate.set)
        for one in receivers[:-1]:
            one.replies = [lambda _: print(gate.wait(100))]
        until(lambda: ill.done() == 500, 60, "the first images are judged")

        uploading: list[float] = []
        floods: list[str] = []
        upload = threading.Thread(target=lambda: floods.append(submit(stack, flood, tar, ill.accepted)["id"]))
        upload.start()
        while upload.is_alive():
            uploading.append(predict(stack, other, image, ill.accepted))
            time.sleep(0.02)
        upload.join()

        began = time.monotonic()
        small = submit(stack, flood, archive(10), ill.accepted)["id"]
        ill.finish(small)
        small_took, still_queued = time.monotonic() - began, ill.batch(floods[0]).queued

        for number in range(3 * _SILENT):
            webhook = {"url": receivers[number % _SILENT].url, "secret": _SECRET}
            submit(stack, key_of(stack, f"silent {number % 4}"), archive(1), ill.accepted, webhook=webhook)
        until(lambda: all(one.posts for one in receivers[:-1]), 60, "every silent receiver has been asked")

        times = []
        for _ in range(_PREDICTIONS):
            times.append(predict(stack, other, image, ill.accepted))
            time.sleep(0.02)

        told = submit(stack, third, archive(1), ill.accepted, webhook={"url": quick.url, "secret": _SECRET})
        ended = ill.finish(told["id"]).finished_at
        until(lambda: quick.posts, 60, "the webhook of the third tenant arrives")
        assert ended is not None
        delay = time.time() - ended

        left = ill.batch(floods[0]).queued
        ill.proof(
            f"{_IMAGES} images of one tenant ({left} still queued at the end), {_SILENT} silent receivers: "
            f"predictions of another p50 {percentile(times, 0.5):.0f}, p99 {percentile(times, 0.99):.0f} ms "
            f"(250 asked), p99 {percentile(uploading, 0.99):.0f} ms during the upload; "
            f"webhook of a third after {delay:.2f} s (2 asked); a batch of 10 of the flooding tenant after "
            f"{small_took:.1f} s, while {still_queued} of its images were queued before"
        )
        print(ill.saw["fired"])
        assert left > 1000, "the flood ended too early to prove anything"
        assert all(len(one.posts) == 1 for one in receivers[:-1]), "they have answered nothing yet"
        assert percentile(times, 0.99) <= 250
        assert delay <= 2
        assert still_queued > 1000 and small_took <= 10
        cancel = f"/v1/batches/{floods[0]}/cancel"
        assert stack.request("POST", cancel, b"", Authorization=f"Bearer {flood}")[0] == 200
        ill.finish(floods[0])
        assert ill.accepted[floods[0]] == _IMAGES
        ill.check()
