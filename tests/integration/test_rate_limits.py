"""Rate limits: of each key over all web processes, and of wrong keys from one address; without the broker as well."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.harness.application import Application, application
from tests.harness.broker import start_valkey
from web.app import create_app
from web.http.rate_limits import RateLimits

LIMIT, WRONG = 12, 4


@pytest.fixture
def app(tmp_path: Path, artifact: Path, broker_url: str) -> Iterator[Application]:
    changed: dict[str, Any] = {
        "rate_limit_requests": LIMIT,
        "rate_limit_wrong_keys": WRONG,
        "rate_limit_window_s": 60,
    }
    with application(tmp_path, artifact, broker_url, **changed) as made:
        yield made


def standing(response: TestResponse) -> tuple[int, int]:
    """Requests left and seconds to the end of the window, as the answer says in structured fields."""
    assert response.headers["RateLimit-Policy"] == f'"default";q={LIMIT};w=60'
    found = re.fullmatch(r'"default";r=(\d+);t=(\d+)', response.headers["RateLimit"])
    assert found is not None, response.headers["RateLimit"]
    return int(found[1]), int(found[2])


def test_a_key_over_its_limit_is_refused_and_another_key_is_not(app: Application) -> None:
    seen = [standing(app.call("GET", "/v1/batches")) for _ in range(LIMIT)]
    assert [left for left, _ in seen] == list(range(LIMIT - 1, -1, -1))
    assert all(0 < seconds <= 60 for _, seconds in seen)
    refused = app.call("GET", "/v1/batches")
    problem = refused.get_json()
    assert (refused.status_code, problem["code"]) == (429, "rate_limited")
    assert standing(refused) == (0, int(refused.headers["Retry-After"]))
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "wait" in problem["detail"]
    assert app.call("GET", "/v1/batches", key=app.make_key("default", "read")).status_code == 200
    assert app.call("GET", "/livez").status_code == 200


def test_sign_ins_count_for_their_key(app: Application) -> None:
    """Each makes a session and an entry of the audit trail."""
    sign_ins = [app.call("POST", "/v1/session", key="", json={"key": app.key}) for _ in range(LIMIT + 1)]
    codes = [each.status_code for each in sign_ins]
    assert codes == [200] * LIMIT + [429]
    assert app.call("GET", "/v1/batches").status_code == 429


def test_a_request_that_waits_is_counted_once(app: Application, images: dict[str, bytes]) -> None:
    batch = app.submit(dict(list(images.items())[:1]))
    before, _ = standing(app.call("GET", "/v1/batches"))
    waited = app.call("GET", f"/v1/batches/{batch['id']}?wait=0.3")
    assert waited.status_code == 200
    assert standing(waited)[0] == before - 1


def test_web_processes_count_together(app: Application) -> None:
    other = create_app(app.service.settings)
    try:
        headers = {"Authorization": f"Bearer {app.key}"}
        answers = [app.call("GET", "/v1/batches").status_code for _ in range(LIMIT // 2)]
        answers += [
            other.test_client().get("/v1/batches", headers=headers).status_code for _ in range(LIMIT // 2)
        ]
        assert answers == [200] * LIMIT
        assert app.call("GET", "/v1/batches").status_code == 429
        assert other.test_client().get("/v1/batches", headers=headers).status_code == 429
    finally:
        other.extensions["gonogo"].stop()


def test_wrong_keys_are_limited_by_address_and_right_keys_are_not(app: Application) -> None:
    def wrong(address: str, path: str = "/v1/batches") -> int:
        given: dict[str, Any] = {
            "key": "gng_0123456789ab_" + "f" * 64,
            "environ_overrides": {"REMOTE_ADDR": address},
        }
        return app.call("GET", path, **given).status_code

    assert [wrong("192.0.2.7") for _ in range(WRONG)] == [401] * WRONG
    refused = app.call("POST", "/v1/session", key="", json={"key": "no"},
                       environ_overrides={"REMOTE_ADDR": "192.0.2.7"})  # fmt: skip
    assert (refused.status_code, refused.get_json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) >= 1
    right = app.call("GET", "/v1/batches", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert right.status_code == 200, "others behind the same address go on"
    assert wrong("192.0.2.8") == 401
    several = [wrong(f"2001:db8::{number:x}") for number in range(WRONG + 1)]
    assert several == [401] * WRONG + [429], "an IPv6 client has a whole /64"


def test_without_the_broker_a_process_counts_alone_and_no_request_waits_for_it(
    tmp_path: Path, artifact: Path
) -> None:
    folder = tmp_path / "valkey"
    folder.mkdir()
    server = start_valkey(folder, folder / "v.sock")
    try:
        with application(
            tmp_path, artifact, f"unix://{folder}/v.sock", rate_limit_requests=LIMIT, rate_limit_window_s=60
        ) as app:
            server.terminate()
            server.wait(20)
            answers = []
            for _ in range(LIMIT + 1):
                started = time.monotonic()
                answers.append(app.call("GET", "/v1/batches").status_code)
                assert time.monotonic() - started < 2
            assert answers == [200] * LIMIT + [429]
    finally:
        server.kill()
        server.wait(20)


@pytest.mark.pace
def test_a_check_costs_a_request_far_less_than_a_tenth_of_a_millisecond(app: Application) -> None:
    limits = RateLimits(app.service.settings.__class__(
        **{**vars(app.service.settings), "rate_limit_requests": 120_000}
    ))  # fmt: skip
    limits.request_of("key")
    started, number = time.process_time(), 5000
    for _ in range(number):
        limits.request_of("key")
    each_us = 1e6 * (time.process_time() - started) / number
    print(f"{each_us:.1f} µs a check")
    assert each_us < 50


def test_requests_that_come_at_once_leave_the_window_to_other_processes(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 64 threads that found no block in hand took one: 2,000 requests used up a window of 120,000."""
    settings = replace(app.service.settings, rate_limit_requests=10_000)
    limits, other = RateLimits(settings), RateLimits(settings)
    started, hit = threading.Barrier(32), limits.hit

    def slow_hit(*asked: Any) -> Any:
        time.sleep(0.2)  # so that the threads meet there, as they do on a busy machine
        return hit(*asked)

    monkeypatch.setattr(limits, "hit", slow_hit)

    def ask(_: int) -> bool:
        started.wait(30)
        standing = limits.request_of("key_at_once")
        return standing is not None and standing.allowed

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(32)))
    standing = other.request_of("key_at_once")
    assert standing is not None
    assert standing.remaining > 9000


def test_no_limit_shows_no_header(tmp_path: Path, artifact: Path, broker_url: str) -> None:
    with application(tmp_path, artifact, broker_url, rate_limit_requests=0) as app:
        answer = app.call("GET", "/v1/batches")
        assert answer.status_code == 200
        assert "RateLimit" not in answer.headers
