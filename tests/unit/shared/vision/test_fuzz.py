"""Any bytes that begin like an image give pixels or an item's error, in bounded time and memory.

Mutations of sound files of every format. Seconds in CI; `python -m tests.damage.fuzz 3600` goes on for an hour.
"""

from hypothesis import HealthCheck, given, settings

from tests.damage.fuzz import broken_images, outcome


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken_images())
def test_every_outcome_is_pixels_or_an_item_error(data: bytes) -> None:
    outcome(data)
