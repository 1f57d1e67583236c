"""Each status has one writer: read from the code, since a second writer is how a count goes wrong."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIFECYCLE, WEBHOOKS = "shared/lifecycle/", "shared/webhooks/"
WRITERS = {
    "Batch": (LIFECYCLE,),
    "BatchEvent": (f"{LIFECYCLE}events.py", f"{LIFECYCLE}purging.py"),
    "Chunk": (LIFECYCLE,),
    "Item": (LIFECYCLE,),
    "Fetch": (f"{LIFECYCLE}fetches.py", f"{LIFECYCLE}purging.py"),
    "Delivery": (WEBHOOKS, f"{LIFECYCLE}purging.py"),
    "Attempt": (WEBHOOKS, f"{LIFECYCLE}purging.py"),
    "WebhookEndpoint": (WEBHOOKS,),
    "AuditEntry": ("shared/access/audit.py", "shared/access/audit_chain.py"),
    "AuditChain": ("shared/access/audit.py", "shared/access/audit_chain.py"),
}
TABLES = {
    "batches": "Batch",
    "batch_events": "BatchEvent",
    "chunks": "Chunk",
    "items": "Item",
    "fetches": "Fetch",
    "webhook_deliveries": "Delivery",
    "webhook_endpoints": "WebhookEndpoint",
    "audit_entries": "AuditEntry",
    "audit_chains": "AuditChain",
}
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
    "harmless", ["select(Batch.id)", "names.update(x)", "update(Worker)", "'update the items'"]
)
def test_reading_is_no_write(harmless: str) -> None:
    assert strangers("web/api/somewhere.py", harmless) == []
