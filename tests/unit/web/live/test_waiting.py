"""How long a request is held, whatever its client asks for."""

import time
from pathlib import Path

import pytest

from shared.settings import Settings
from web.live.waiting import WaitingRoom
from web.live.waits import Parked


@pytest.mark.parametrize(
    ("asked_s", "most_s", "held_s"),
    [
        (5.0, 60.0, 5.0),
        (20.0, 60.0, 19.0),  # a proxy whose read timeout is 20 s would cut an answer that comes after 20 s
        (60.0, 60.0, 59.0),
        (60.0, 15.0, 14.0),
        (60.0, 2.0, 2.0),
        (0.5, 0.0, 0.0),
    ],
)
def test_a_poll_is_held_for_what_it_asks_within_the_bound_and_a_long_one_a_second_less(
    asked_s: float, most_s: float, held_s: float, tmp_path: Path
) -> None:
    room = WaitingRoom(
        Settings(installation="x", broker_url=f"unix://{tmp_path}/nowhere.sock", max_wait_s=most_s)
    )
    began = time.monotonic()
    try:
        room.hold({}, "bat_1", asked_s)
        assert held_s == 0.0
    except Parked as parked:
        assert held_s <= parked.until - began < held_s + 0.5
    finally:
        room.stop()
