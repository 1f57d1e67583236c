"""Random walks over every change of state a batch can go through, on both databases, by several workers."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from shared.lifecycle import told_items
from shared.store.engine import Database
from tests.integration.lifecycle.known_steps import KnownSteps
from tests.integration.lifecycle.review_steps import ReviewSteps
from tests.integration.lifecycle.shadow_steps import ShadowSteps
from tests.integration.lifecycle.walk import Machine


# `make test` takes the same few walks each time, and `make test-slow` many new ones.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("often", [1, pytest.param(8, marks=pytest.mark.slow)], ids=["few", "many"])
def test_no_walk_loses_or_doubles_anything(
    database: Database, monkeypatch: pytest.MonkeyPatch, often: int
) -> None:
    # Verdicts are told one by one, in the middle of a batch too.
    monkeypatch.setattr(told_items, "PATIENCE_S", 0.0)

    class Here(KnownSteps, ReviewSteps, ShadowSteps, Machine):
        pass

    Here.database = database
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=often * (36 if database.is_sqlite else 20),
            stateful_step_count=30,
            deadline=None,
            derandomize=often == 1,
            database=None,
            phases=[Phase.generate],  # shrinking a walk takes minutes; the walk itself is printed
            suppress_health_check=list(HealthCheck),
        ),
    )
