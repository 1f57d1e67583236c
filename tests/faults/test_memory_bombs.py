"""Row 40: bodies, archives, artifacts and images that are small and would cost gigabytes."""

import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.hostile import (
    BOMBS,
    artifact_of_zeros,
    hidden_members,
    huge_tile,
    json_blocks,
    scan_bomb,
    wide_manifest,
)
from tests.faults.rig import Rig, rig
from tests.harness.forms import as_form
from tests.harness.processes import until

Many = Callable[[int], dict[str, bytes]]
pytestmark = pytest.mark.timeout(300)
AT_ONCE, STRANGERS, TOGETHER_MB = 32, 4000, 350
GROWTH_MB, PREDICT_S, NEIGHBOURS_S = 150, 5.0, 30.0


def processes(ill: Rig) -> dict[int, str]:
    """The web process, and every inference process."""
    return {
        ill.stack.processes["web"].pid: "web",
        **{pid: name for name in ("bulk", "interactive") for pid in ill.stack.children(name)},
    }


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@contextmanager
def growth(ill: Rig, seen: dict[str, float]) -> Iterator[None]:
    """Notes by how many MB the web and the workers grew at most meanwhile."""
    before = {}
    for pid in processes(ill):
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins again at the present size
        before[pid] = psutil.Process(pid).memory_info().rss / 2**20
    yield
    for pid, name in processes(ill).items():
        assert pid in before, f"a process of {name} died and was started again"
        role = "web" if name == "web" else "workers"
        seen[role] = max(seen.get(role, 0.0), peak_mb(pid) - before[pid])


def predict(ill: Rig, image: bytes) -> float:
    """The seconds of a prediction, which must succeed."""
    began = time.monotonic()
    status, _, body = ill.stack.request("POST", "/v1/predict", image, Content_Type="image/jpeg")
    assert status == 200, body
    return time.monotonic() - began


def stream(ill: Rig, path: str, size: int, blocks: Iterator[bytes], key: str) -> tuple[int, str]:
    """Send a body block by block; (status, code). The server may answer before the end of it."""
    connection = http.client.HTTPConnection("127.0.0.1", ill.stack.settings.port, timeout=60)
    connection.putrequest("POST", path)
    for name, value in {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}.items():
        connection.putheader(name, value)
    if key:
        connection.putheader("Authorization", f"Bearer {key}")
    connection.endheaders()
    sent = 0
    try:
        for block in blocks:
            connection.send(b"%x\r\n%s\r\n" % (len(block), block))
            sent += len(block)
        connection.send(b"0\r\n\r\n")
    except OSError:
        pass  # it has answered
    answer = connection.getresponse()
    status, body = answer.status, json.loads(answer.read())
    connection.close()
    assert sent <= size + 2**20
    return status, body["code"]


@pytest.mark.row(40)
def test_memory_bombs_get_their_code_and_cost_no_memory(
    artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig]
) -> None:
    names = ("web", "sweep", "bulk", "interactive")
    with rig(tmp_path, [artifact], processes=names, chunk_items=512) as ill:
        report_rig(ill)
        image = next(iter(many(1).values()))
        for _ in range(4):  # both inference processes have judged, and the web has taken an upload
            predict(ill, image)
            ill.finish(ill.submit(many(64)))
        codes: dict[str, Any] = {}
        grown: dict[str, float] = {}
        waited = 0.0
        with growth(ill, grown):
            for name, make in BOMBS.items():
                make(tmp_path / "bomb")
                form = as_form(("archive", "bomb", (tmp_path / "bomb").read_bytes()))
                status, _, answer = ill.stack.request(
                    "POST", "/v1/batches", form["data"], Content_Type=form["content_type"]
                )
                codes[name] = (status, json.loads(answer)["code"])
                waited = max(waited, predict(ill, image))
            codes["JSON of 300 MB, no key"] = stream(
                ill, "/v1/batches", 300 * 2**20, json_blocks(300 * 2**20), ""
            )
            codes["JSON of 300 MB"] = stream(
                ill, "/v1/api-keys", 300 * 2**20, json_blocks(300 * 2**20), ill.stack.key
            )
            waited = max(waited, predict(ill, image))
            artifact_of_zeros(tmp_path / "zeros", artifact)
            zeros = (tmp_path / "zeros").read_bytes()
            status, _, answer = ill.stack.request(
                "POST", "/v1/models", zeros, Content_Type="application/octet-stream"
            )
            codes["an artifact of zeros"] = (status, json.loads(answer)["code"])
            waited = max(waited, predict(ill, image))
        assert codes == {
            "200 MB of pax headers": (400, "no_images"),
            "a name of 200 MB": (422, "invalid_archive"),
            "500,000 directory entries": (413, "too_many_items"),
            "JSON of 300 MB, no key": (401, "unauthorized"),
            "JSON of 300 MB": (413, "request_too_large"),
            "an artifact of zeros": (400, "invalid_artifact"),
        }
        bombs = {"tile.tif": huge_tile(), "scans.jpg": scan_bomb()}
        with growth(ill, grown):
            files = {**many(40), **bombs, **{f"after-{name}": data for name, data in many(40).items()}}
            began = time.monotonic()
            batch_id = ill.submit(files)
            ill.finish(batch_id)
            neighbours = time.monotonic() - began
            waited = max(waited, predict(ill, image))
        failed = {item.filename: item.error_code for item in ill.items(batch_id) if item.error_code}
        assert failed == dict.fromkeys(bombs, "too_costly")
        assert all(item.verdict for item in ill.items(batch_id) if item.filename not in bombs)
        told = ", ".join(f"{role} {mb:.0f} MB" for role, mb in sorted(grown.items()))
        ill.proof(
            f"{len(codes) + len(bombs)} bombs got their codes; grown by at most {told};"
            f" {len(files) - len(bombs)} neighbours judged in {neighbours:.1f} s, predictions meanwhile in"
            f" {waited:.2f} s at most"
        )
        assert max(grown.values()) < GROWTH_MB, told
        assert neighbours < NEIGHBOURS_S
        assert waited < PREDICT_S
        for row in ill.sealed() - set(ill.accepted):  # those of the predictions
            ill.accepted[row] = 1
        until(lambda: not ill.unsealed(), 30, "nothing of a refused upload is left")
        ill.check(most_extra=0)


@pytest.mark.row(40)
def test_thirty_two_costly_bodies_of_a_kind_at_once_take_bounded_memory(
    artifact: Path, many: Many, tmp_path: Path, report_rig: Callable[[Rig], Rig]
) -> None:
    """Each alone is within its bounds, and 32 of a kind would together take 600 MB and more."""
    with rig(tmp_path, [artifact], processes=("web", "sweep", "bulk", "interactive")) as ill:
        report_rig(ill)
        image = next(iter(many(1).values()))
        for _ in range(2):
            predict(ill, image)
            ill.finish(ill.submit(many(64)))
        hidden_members(tmp_path / "zip", 40_000)
        costly = {
            "manifests": as_form(("manifest", "m.csv", wide_manifest(2000)), ("images", "none.jpg", image)),
            "zips": as_form(("archive", "a.zip", (tmp_path / "zip").read_bytes())),
            "JSON": {"data": b'{"inputs":[' + b"{}," * 340_000 + b"{}]}", "content_type": "application/json"},
        }
        told, grown = list[str](), dict[str, float]()
        for name, form in costly.items():
            seen: dict[str, float] = {}
            with growth(ill, seen), ThreadPoolExecutor(AT_ONCE) as pool:
                codes = Counter(pool.map(lambda _, form=form: code_of(ill, form), range(AT_ONCE)))
                waited = predict(ill, image)
            grown[name] = seen["web"]
            told.append(f"{AT_ONCE} {name}: {dict(codes)}, web +{seen['web']:.0f} MB")
            assert set(codes) <= {"invalid_manifest", "no_images", "bad_request", "overloaded"}, told
            assert waited < PREDICT_S
        seen = {}
        with growth(ill, seen):
            strangers = [half_body(ill) for _ in range(STRANGERS)]
            waited = predict(ill, image)
            for each in strangers:
                each.close()
        grown["strangers"] = seen["web"]
        told.append(f"{STRANGERS} bodies of 60 kB without a key: web +{seen['web']:.0f} MB")
        ill.proof("; ".join(told))
        print(told)
        assert max(grown.values()) < TOGETHER_MB, told
        assert waited < PREDICT_S
        for row in ill.sealed() - set(ill.accepted):
            ill.accepted[row] = 1
        until(lambda: not ill.unsealed(), 30, "nothing of a refused upload is left")
        ill.check(most_extra=0)


def code_of(ill: Rig, form: dict[str, Any]) -> str:
    _, _, answer = ill.stack.request("POST", "/v1/batches", form["data"], Content_Type=form["content_type"])
    return str(json.loads(answer)["code"])


def half_body(ill: Rig) -> socket.socket:
    """A connection that has sent 60 of 64 kB, without a key."""
    sock = socket.create_connection(("127.0.0.1", ill.stack.settings.port), timeout=20)
    sock.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 65000\r\n\r\n" + bytes(60 * 2**10))
    return sock
