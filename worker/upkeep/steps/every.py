"""All steps, in an order in which one mending leaves work for a later one."""

from worker.upkeep.steps import (
    artifacts,
    audit,
    blocked,
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
    sessions,
    steered,
    temporary,
    trials,
    unclaimable,
    unserved,
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
    steered,
    messages,
    deliveries,
    trials,
    unserved,
    uploads,
    claims,
    retention,
    sessions,
    audit,
    orphans,
    temporary,
)
LOSSES: tuple[Look, ...] = (packs, artifacts, blocked)  # a person mends these
