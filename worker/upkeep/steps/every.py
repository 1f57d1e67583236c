"""The plan: all steps, in an order in which one mending leaves work for a later one, and how often the sweep looks.

`gonogo doctor --repair` takes all of them, and the losses.
"""

import math
from collections.abc import Callable

from shared.settings import Settings
from worker.upkeep.steps import (
    artifacts,
    audit,
    blocked,
    claims,
    completion,
    counters,
    deadlines,
    deliveries,
    diffs,
    drafts,
    drift,
    fetches,
    kept_keys,
    known,
    leases,
    messages,
    old_deliveries,
    order,
    orphans,
    packs,
    quotas,
    retention,
    sessions,
    shadows,
    steered,
    temporary,
    trials,
    unclaimable,
    unfetched,
    unserved,
    unset_clock,
    uploads,
    workers,
)
from worker.upkeep.steps.step import Look, Step

Often = Callable[[Settings], float]  # seconds between two looks of the sweep


def _each_pass(_: Settings) -> float:
    return 0.0


def _by_repair(_: Settings) -> float:
    """Such damage is a fault of the product. The sweep leaves it for a person to see, and for a repair to mend."""
    return math.inf


def _every(seconds: float) -> Often:
    return lambda _: seconds


PLAN: tuple[tuple[Step, Often], ...] = (
    (workers, _each_pass),
    (leases, _each_pass),
    (unclaimable, _by_repair),
    (counters, _by_repair),  # by a pass over all items; the sweep tells of the newest batches alone
    (quotas, _every(600.0)),  # by a pass over all batches
    (unset_clock, _each_pass),  # before the steps that go by the age of a batch
    (deadlines, _each_pass),
    (completion, _each_pass),
    (steered, _by_repair),
    (messages, _each_pass),
    (deliveries, _each_pass),
    (fetches, _each_pass),
    (trials, _each_pass),
    (unserved, _each_pass),
    (unfetched, _each_pass),
    (uploads, _each_pass),
    (drafts, _each_pass),
    (drift, _each_pass),
    (claims, _every(600.0)),  # a retry takes such a key by itself
    (known, _each_pass),
    (order, _each_pass),
    (diffs, _each_pass),
    (shadows, _each_pass),
    (retention, _each_pass),
    (old_deliveries, _every(600.0)),
    (kept_keys, _each_pass),
    (sessions, _each_pass),
    (audit, lambda settings: min(600.0, settings.audit_retention_s)),
    (orphans, lambda settings: min(60.0, settings.orphan_s)),
    (temporary, _every(3600.0)),  # by a walk over all stored files
)
STEPS: tuple[Step, ...] = tuple(step for step, _ in PLAN)
LOSSES: tuple[Look, ...] = (packs, artifacts, blocked)  # a person mends these
