"""Each status has one writer: read from the code, since a second writer is how a count goes wrong."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store import tables

ROOT = Path(__file__).parents[2]
LIFECYCLE, WEBHOOKS, ACCESS, REGISTRY = (
    "shared/lifecycle/",
    "shared/webhooks/",
    "shared/access/",
    "shared/registry/",
)
PURGE = f"{LIFECYCLE}purging.py"
AUDIT = (f"{ACCESS}audit.py", f"{ACCESS}audit_chain.py")
WRITERS = {
    "Batch": (LIFECYCLE,),
    "BatchEvent": (f"{LIFECYCLE}events.py", PURGE),
    "Chunk": (LIFECYCLE,),
    "Item": (LIFECYCLE,),
    "Part": (LIFECYCLE,),
    "Judge": (f"{LIFECYCLE}judges.py",),
    "Fetch": (f"{LIFECYCLE}fetches.py", PURGE),
    "DraftPart": (f"{LIFECYCLE}drafts.py", PURGE),
    "Submission": (f"{LIFECYCLE}idempotency.py", "worker/upkeep/steps/claims.py"),
    "Rescoring": (f"{LIFECYCLE}rescoring.py", PURGE),
    "DiffCounts": (f"{LIFECYCLE}diff_counts.py",),
    "ScoreBlock": (f"{LIFECYCLE}score_order.py",),
    "OrderAsked": (f"{LIFECYCLE}score_order.py",),
    "ScoreBins": (f"{LIFECYCLE}score_bins.py", PURGE),
    "ReviewEntry": (f"{LIFECYCLE}reviews.py", f"{LIFECYCLE}review_queue.py", PURGE),
    "Opinion": (f"{LIFECYCLE}reviews.py", PURGE),
    "DriftWindow": (f"{LIFECYCLE}drift.py",),
    "KnownImage": (f"{LIFECYCLE}known_images.py", PURGE),
    "Shadow": (f"{LIFECYCLE}shadows.py",),
    "ShadowBatch": (f"{LIFECYCLE}shadows.py",),
    "ShadowScore": (f"{LIFECYCLE}shadows.py",),
    "Telling": (f"{LIFECYCLE}telling.py", PURGE),
    "Worker": (f"{LIFECYCLE}workers.py",),
    "Event": (f"{LIFECYCLE}counters.py",),
    "Tally": ("shared/store/tallies.py", f"{LIFECYCLE}drift.py"),
    "Delivery": (WEBHOOKS, PURGE),
    "Attempt": (WEBHOOKS, PURGE),
    "WebhookEndpoint": (WEBHOOKS,),
    "ModelVersion": (REGISTRY,),
    "ModelActivation": (f"{REGISTRY}activations.py",),
    "ApiKey": (f"{ACCESS}keys.py",),
    "Session": (f"{ACCESS}sessions.py", f"{ACCESS}keys.py", "shared/cli/commands/backup.py"),
    "Quota": (f"{ACCESS}quotas.py",),
    "AuditEntry": AUDIT,
    "AuditChain": AUDIT,
    "ServiceSecret": ("shared/store/installation.py", "worker/upkeep/steady.py"),
}
MAPPED = {mapper.class_.__name__: mapper.class_.__tablename__ for mapper in tables.Base.registry.mappers}
TABLES = {table: name for name, table in MAPPED.items()}
# Their rows are never changed: verdicts, rollbacks and auditors go by what they say.
UNCHANGED = {"AuditEntry", "BatchEvent", "DriftWindow", "Judge", "ModelActivation", "Rescoring"}
BUILDERS = {"insert", "update", "delete", "merge"}


def table_of(node: ast.expr) -> str | None:
    """The table that an expression names: `Batch`, `tables.Batch`, `Batch.__table__` or an alias of one."""
    for part in ast.walk(node):
        name = part.id if isinstance(part, ast.Name) else part.attr if isinstance(part, ast.Attribute) else ""
        if name in WRITERS:
            return name
    return None


def written(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, table) of each statement that writes one of the tables, built in any of the ways SQLAlchemy has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in BUILDERS or (name in ("add", "add_all") and node.args):
                # insert(Batch), sqlalchemy.insert(Batch), Batch.__table__.insert(), session.add(Batch(…))
                owner = function.value if isinstance(function, ast.Attribute) else None
                for candidate in [*node.args, *([owner] if owner is not None else [])]:
                    if (table := table_of(candidate)) is not None:
                        yield node.lineno, table
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = node.value.lower().split()
            for verb, place in (("update", 1), ("into", 1), ("from", 1)):
                for at in (number for number, word in enumerate(words) if word == verb):
                    before = words[at - 1] if at else ""
                    target = words[at + place].strip('"(;,') if len(words) > at + place else ""
                    is_write = verb == "update" or (verb, before) in {("into", "insert"), ("from", "delete")}
                    if is_write and target in TABLES:
                        yield node.lineno, TABLES[target]


def changed(tree: ast.AST) -> Iterator[str]:
    """The tables of UNCHANGED whose rows a statement updates, or overwrites where an insert meets them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in ("update", "on_conflict_do_update"):
                owner = function.value if isinstance(function, ast.Attribute) else None
                found = {table_of(each) for each in [*node.args, *([owner] if owner is not None else [])]}
                yield from (table for table in found if table in UNCHANGED)


def strangers(path: str, source: str) -> list[str]:
    """The writes in a file that are not its to make."""
    return [
        f"{path}:{line} writes {table}, which only {' and '.join(WRITERS[table])} may"
        for line, table in written(ast.parse(source))
        if not path.startswith(WRITERS[table])
    ]


def sources() -> list[Path]:
    found = [
        path for folder in ("shared", "web", "worker", "training") for path in (ROOT / folder).rglob("*.py")
    ]
    return [path for path in found if "migrations" not in path.parts]


def test_only_the_lifecycle_writes_batches_chunks_and_items_and_only_webhooks_write_deliveries() -> None:
    found = sources()
    assert len(found) > 100
    assert [
        trouble
        for path in found
        for trouble in strangers(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ] == []


def test_every_table_names_its_writers() -> None:
    assert WRITERS.keys() == MAPPED.keys()


def test_rows_that_are_said_to_stay_are_never_updated() -> None:
    for path in sources():
        assert list(changed(ast.parse(path.read_text(encoding="utf-8")))) == [], path


@pytest.mark.parametrize(
    "planted",
    [
        "update(Judge).values(worker='x')",
        "Rescoring.__table__.update().values(threshold=1)",
        "insert(ModelActivation).values(at=1).on_conflict_do_update(set_={})",
    ],
)
def test_a_planted_change_is_found(planted: str) -> None:
    assert len(list(changed(ast.parse(planted)))) == 1


@pytest.mark.parametrize(
    "planted",
    [
        "update(Batch).where(Batch.id == x).values(status='completed')",
        "sqlalchemy.update(tables.Item).values(status='failed')",
        "Chunk.__table__.insert().values(status='queued')",
        "connection.execute(delete(Item.__table__))",
        "_ROWS = insert(Delivery)",
        "session.add(Batch(id=x))",
        "connection.exec_driver_sql('UPDATE items SET status = 1')",
        "text('insert into chunks (id) values (1)')",
        "text('DELETE FROM batches')",
        "delete(AuditEntry)",
        "text('UPDATE audit_chains SET seq = 0')",
    ],
)
def test_a_planted_write_is_found(planted: str) -> None:
    assert len(strangers("worker/upkeep/somewhere.py", planted)) == 1


@pytest.mark.parametrize(
    "harmless", ["select(Batch.id)", "names.update(x)", "update(Sheet)", "'update the items'"]
)
def test_reading_is_no_write(harmless: str) -> None:
    assert strangers("web/api/somewhere.py", harmless) == []
