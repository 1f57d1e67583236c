"""The message that tells of the first window of images with drift."""

from tests.harness import drifting
from tests.harness.application import Application
from tests.harness.endpoints import make, seen, send_due
from tests.harness.receivers import Receiver


def test_the_first_window_with_drift_is_told_and_again_after_one_without(
    app: Application, receiver: Receiver
) -> None:
    make(app, receiver.url, events=["drift.detected"])
    make(app, receiver.url, events=["drift.detected"], filters={"line": ["another"]})
    for drifted in (False, True, True, False, True):
        with app.database.write() as connection:
            drifting.look(connection, "default", app.model_id, "told", drifted=drifted)
    send_due(app)
    told = seen(receiver)
    windows = app.get("/v1/stats/drift?line=told&drifted=true")["data"]
    assert [message["type"] for message in told] == ["drift.detected"] * 2
    assert sorted(message["data"]["id"] for message in told) == sorted([windows[0]["id"], windows[2]["id"]])
    assert all(message["data"] in windows for message in told)
