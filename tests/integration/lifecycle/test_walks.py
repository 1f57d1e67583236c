"""Random walks over every change of state a batch can go through, on both databases, by several workers."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from shared.lifecycle import told_items
from shared.store.engine import Database
from tests.integration.lifecycle.review_steps import ReviewSteps
from tests.integration.lifecycle.walk import Machine


@pytest.mark.timeout(300)
def test_no_walk_loses_or_doubles_anything(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        told_items, "PATIENCE_S", 0.0
    )  # verdicts are told one by one, in the middle of a batch too

    class Here(ReviewSteps, Machine):
        pass

    Here.database = database
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=70 if database.is_sqlite else 40,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # shrinking a walk takes minutes; the walk itself is printed
            suppress_health_check=list(HealthCheck),
        ),
    )
