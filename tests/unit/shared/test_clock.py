"""Times are spoken in RFC 3339, UTC, milliseconds."""

import re
import time
from datetime import UTC, datetime

import pytest

from shared.clock import now, rfc3339


def test_nothing_is_nothing() -> None:
    assert rfc3339(None) is None


@pytest.mark.parametrize(
    ("moment", "spoken"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_795_521_600.25, "2026-11-24T12:00:00.250Z"),
        (951_782_400.0, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_a_moment_is_spoken_in_utc_with_milliseconds(moment: float, spoken: str) -> None:
    assert rfc3339(moment) == spoken


def test_the_local_time_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert rfc3339(0.0) == "1970-01-01T00:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_now_is_now() -> None:
    spoken = rfc3339(now())
    assert spoken is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", spoken)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(spoken)).total_seconds()) < 60
