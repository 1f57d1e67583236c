"""All steps, in an order in which one mending leaves work for a later one."""

from worker.upkeep.steps import (
    artifacts,
    claims,
    completion,
    counters,
    deadlines,
    deliveries,
    leases,
    messages,
    orphans,
    packs,
    retention,
    temporary,
    unclaimable,
    uploads,
    workers,
)
from worker.upkeep.steps.step import Look, Step

STEPS: tuple[Step, ...] = (
    workers,
    leases,
    unclaimable,
    counters,
    deadlines,
    completion,
    messages,
    deliveries,
    uploads,
    claims,
    retention,
    orphans,
    temporary,
)
LOSSES: tuple[Look, ...] = (packs, artifacts)  # only a backup mends these
