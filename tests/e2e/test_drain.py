"""The web process told to stop while clients wait."""

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.harness.processes import until
from tests.harness.stack import Stack, running


def listening(stack: Stack) -> bool:
    try:
        return stack.get("/livez")[0] == 200
    except OSError:
        return False


@pytest.mark.pace
def test_a_web_that_is_told_to_stop_answers_waiting_polls_at_once(
    tmp_path: Path, artifact: Path, images: dict[str, bytes]
) -> None:
    with running(tmp_path, [artifact], "web", drain_s=15.0) as stack:
        until(lambda: listening(stack), 30, "the web listens")
        batch = stack.submit({"part.jpg": images["part-000.jpg"]})
        answers: list[int] = []

        def poll() -> None:
            answers.append(stack.get(f"/v1/batches/{batch['id']}?wait=50")[0])

        polls = [threading.Thread(target=poll) for _ in range(5)]
        for each in polls:
            each.start()
        time.sleep(2)
        assert answers == []
        began = time.monotonic()
        stack.kill("web", signal.SIGTERM)
        assert time.monotonic() - began < 8
        for each in polls:
            each.join(10)
        assert answers == [200] * 5
