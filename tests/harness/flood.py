"""A tenant floods a lane while another predicts: the archive of the one, and the latencies of the other."""

import io
import json
import tarfile
import time
import urllib.request
from typing import Any

from shared.access import keys
from tests.harness.forms import as_form, options_part
from tests.harness.images import jpegs
from tests.harness.stack import Stack


def key_of(stack: Stack, tenant: str) -> str:
    """A new key of a tenant."""
    database = stack.database
    with database.write() as connection:
        _, secret = keys.create_key(connection, tenant=tenant, name="test", scopes=["submit", "read"])
    database.dispose()
    return secret


def archive(count: int, *, side: int = 32) -> bytes:
    """A tar of so many tiny images."""
    images, buffer = [data for _, data in jpegs(200, side=side)], io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(count):
            data = images[number % len(images)]
            member = tarfile.TarInfo(f"part-{number:06d}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


Accepted = dict[str, int]  # the items of each batch that was answered, by its id


def submit(stack: Stack, key: str, tar: bytes, accepted: Accepted | None = None, **options: Any) -> Any:
    """Submit an archive in the lane `interactive`; the batch, which `accepted` notes."""
    parts = [options_part({"priority": "interactive", **options}), ("archive", "flood.tar", tar)]
    form = as_form(*parts)
    headers = {"Content-Type": form["content_type"], "Authorization": f"Bearer {key}"}
    asked = urllib.request.Request(f"{stack.url}/v1/batches", form["data"], headers)
    with urllib.request.urlopen(asked, timeout=300) as answer:
        assert answer.status == 202
        batch = json.loads(answer.read())
    if accepted is not None:
        accepted[batch["id"]] = batch["counts"]["total"]
    return batch


def predict(stack: Stack, key: str, image: bytes, accepted: Accepted | None = None) -> float:
    """Milliseconds until an image is judged; `accepted` notes its batch."""
    started = time.perf_counter()
    status, _, body = stack.request(
        "POST", "/v1/predict", image, Content_Type="image/jpeg", Authorization=f"Bearer {key}"
    )
    took_ms = 1000 * (time.perf_counter() - started)
    assert status == 200, body
    if accepted is not None:
        accepted[json.loads(body)["item"]["batch_id"]] = 1
    return took_ms


def percentile(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
