"""`python -m worker.upkeep.repair [--dry-run]`: looks for what is not as it must be and mends what is safe to mend.

A line of JSON for each look: what it looks for, how many it found, how many of those it mended. Everything is a
compare-and-set, so it may run beside a working service, or beside another repair.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import redis
from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from shared.broker import queues
from shared.clock import now
from shared.contract.states import ChunkStatus, ItemStatus
from shared.lifecycle import leases
from shared.settings import Settings
from shared.store.engine import clock
from shared.store.tables import Batch, Chunk, Item, ModelVersion, Submission
from worker.upkeep import sweep
from worker.upkeep.recount import recount
from worker.upkeep.sweep import Sweeper

_MOST = 100_000
_OPEN = (ItemStatus.QUEUED, ItemStatus.PROCESSING)
_WAITING = (ChunkStatus.HELD, ChunkStatus.QUEUED, ChunkStatus.LEASED)
_COVERED = exists().where(
    Chunk.batch_id == Item.batch_id,
    Chunk.first_seq <= Item.seq,
    Chunk.last_seq >= Item.seq,
    Chunk.status.in_(_WAITING),
)
_UNCOVERED = select(Item.batch_id, Item.seq, Item.pack).where(Item.status.in_(_OPEN), ~_COVERED)
_ENDED_CLAIM = (Submission.fingerprint.is_(None), Submission.lease_until < clock())


@dataclass(frozen=True)
class Finding:
    """One look. `error` says why it could not be made, or why the mending broke off."""

    name: str
    detail: str
    found: int = 0
    mended: int = 0
    error: str = ""


@dataclass(frozen=True)
class Look:
    name: str
    detail: str
    count: Callable[[], int]
    mend: Callable[[], object] | None = None


class Repair:
    """What to look for in one installation, in an order in which one mending leaves work for the next."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sweeper = Sweeper(settings, queues.celery_app(settings))
        self.database, self.blobs = self.sweeper.database, self.sweeper.blobs

    def looks(self) -> Iterator[Look]:
        sweeper = self.sweeper
        yield Look(
            "workers", "rows of workers that are gone: removed",
            lambda: len(sweeper.lost_workers()), sweeper.forget_lost_workers,
        )  # fmt: skip
        yield Look(
            "leases", "chunks held by a dead process or past their lease: put back into the queue",
            lambda: len(self.ended_leases()), self.return_leases,
        )  # fmt: skip
        yield Look(
            "unclaimable", "open items that no waiting chunk holds, so nobody would do them: given a chunk",
            lambda: len(self.uncovered()), self.cover,
        )  # fmt: skip
        yield Look(
            "counters", "batches whose counters differ from their items: set to what is counted",
            lambda: len(self.miscounted()), self.reconcile,
        )  # fmt: skip
        yield Look(
            "deadlines", "batches past their deadline with items waiting: these expire",
            lambda: len(sweeper.ids(sweep.PAST_DEADLINE, _MOST)), sweeper.expire_batches,
        )  # fmt: skip
        yield Look(
            "completion", "batches with no open item that nobody ended: ended, their webhook is owed",
            lambda: len(sweeper.ids(sweep.NOT_COMPLETED, _MOST)), sweeper.complete_batches,
        )  # fmt: skip
        yield Look(
            "messages", "waiting chunks without a message to a worker: announced",
            lambda: sum(sweeper.missing_messages().values()), sweeper.announce_queued,
        )  # fmt: skip
        yield Look(
            "uploads", "uploads that broke off: removed, the client sends them again",
            lambda: len(sweeper.ids(sweep.ABANDONED, _MOST)), sweeper.purge_abandoned_uploads,
        )  # fmt: skip
        yield Look(
            "claims", "idempotency keys held by an upload that broke off: free again",
            self.ended_claims, self.drop_claims,
        )  # fmt: skip
        yield Look(
            "retention", "batches kept past their time: removed",
            lambda: len(sweeper.ids(sweep.OUTLIVED, _MOST)), sweeper.purge_retained,
        )  # fmt: skip
        yield Look(
            "orphans", "stored bytes that no batch owns: removed",
            lambda: sum(1 for _ in sweeper.orphans()), self.remove_orphans,
        )  # fmt: skip
        yield Look(
            "temporary", "files left half written by a process that died: removed",
            lambda: len(self.temporary()), self.remove_temporary,
        )  # fmt: skip
        yield Look(
            "bytes", "packs that a batch names and the store lacks: restore them from a backup; items still open fail",
            self.missing_packs,
        )  # fmt: skip
        yield Look(
            "artifacts", "model versions whose artifact the store lacks: upload or restore it; their batches wait",
            self.missing_artifacts,
        )  # fmt: skip

    def run(self, *, dry_run: bool) -> Iterator[Finding]:
        """Each look in turn; one that fails keeps no other from being made."""
        for look in self.looks():
            found, left, error = 0, 0, ""
            try:
                found = left = look.count()
                while left and look.mend is not None and not dry_run:
                    look.mend()  # a step mends a bounded number
                    before, left = left, look.count()
                    if left >= before:
                        break
            except (SQLAlchemyError, redis.RedisError, OSError) as trouble:
                error = f"{type(trouble).__name__}: {trouble}".splitlines()[0]
            yield Finding(look.name, look.detail, found, max(0, found - left), error)

    def ended_leases(self) -> set[int]:
        with self.database.read() as connection:
            expired = leases.expired_leases(connection, _MOST)
        return {*expired, *(chunk_id for chunk_id, _ in self.sweeper.held_by_the_dead())}

    def return_leases(self) -> None:
        self.sweeper.end_leases_of_the_dead()
        self.sweeper.return_expired_leases()

    def uncovered(self) -> list[tuple[str, int, int]]:
        """(batch, seq, pack) of open items that no waiting chunk holds."""
        query = _UNCOVERED.order_by(Item.batch_id, Item.seq).limit(_MOST)
        with self.database.read() as connection:
            return [(row.batch_id, row.seq, row.pack) for row in connection.execute(query)]

    def cover(self) -> None:
        for batch_id in sorted({batch_id for batch_id, _, _ in self.uncovered()}):
            with self.database.write() as connection:
                # Locked, and looked at again: another repair may have been first.
                lane = connection.scalar(select(Batch.lane).where(Batch.id == batch_id).with_for_update())
                query = _UNCOVERED.where(Item.batch_id == batch_id).order_by(Item.seq)
                items = [(row.seq, row.pack) for row in connection.execute(query)]
                for (_, pack), run in groupby(enumerate(items), lambda at: (at[1][0] - at[0], at[1][1])):
                    seqs = [seq for _, (seq, _) in run]
                    within = (Item.batch_id == batch_id, Item.seq.between(seqs[0], seqs[-1]))
                    connection.execute(update(Item).where(*within).values(status=ItemStatus.QUEUED))
                    connection.execute(
                        insert(Chunk).values(
                            batch_id=batch_id, first_seq=seqs[0], last_seq=seqs[-1], pack=pack, lane=lane,
                            status=ChunkStatus.QUEUED, attempts=0, enqueued_at=clock(),
                        )
                    )  # fmt: skip
                recount(connection, batch_id, mend=True)

    def miscounted(self) -> list[str]:
        """Batches whose counters differ: found without a lock, then each looked at again under its own."""
        counted = select(Item.batch_id, Item.status, func.count()).group_by(Item.batch_id, Item.status)
        verdicts = select(Item.batch_id, Item.verdict, func.count()).group_by(Item.batch_id, Item.verdict)
        with self.database.read() as connection:
            said = {
                (row.id, name): number
                for row in connection.execute(select(Batch.__table__))
                for name, number in row._mapping.items()
                if name in {*ItemStatus, "defect", "no_defect", "review"} and number
            }
            seen = {
                (row[0], row[1]): row[2]
                for query in (counted, verdicts)
                for row in connection.execute(query)
                if row[1] is not None
            }
        suspects = {key[0] for key, _ in {*said.items()} ^ {*seen.items()}}
        return sorted(batch_id for batch_id in suspects if self._recount(batch_id, mend=False))

    def reconcile(self) -> None:
        for batch_id in self.miscounted():
            self._recount(batch_id, mend=True)

    def _recount(self, batch_id: str, *, mend: bool) -> bool:
        with self.database.write() as connection:
            return bool(recount(connection, batch_id, mend=mend))

    def ended_claims(self) -> int:
        query = select(func.count()).select_from(Submission).where(*_ENDED_CLAIM)
        with self.database.read() as connection:
            return connection.scalar(query) or 0

    def drop_claims(self) -> None:
        with self.database.write() as connection:
            connection.execute(delete(Submission).where(*_ENDED_CLAIM))

    def remove_orphans(self) -> None:
        for batch_id in self.sweeper.orphans():
            self.blobs.delete_batch(batch_id)

    def temporary(self) -> list[Path]:
        """Files that were to be renamed, and spooled uploads, not written to for longer than an orphan may lie."""
        old = now() - self.settings.orphan_s
        candidates = [*self.blobs.root.rglob("*.tmp"), *self.blobs.spool_folder().iterdir()]
        found = set()
        for path in candidates:
            try:
                if path.is_file() and path.stat().st_mtime < old:
                    found.add(path)
            except FileNotFoundError:
                continue
        return sorted(found)

    def remove_temporary(self) -> None:
        for path in self.temporary():
            path.unlink(missing_ok=True)

    def missing_packs(self) -> int:
        with self.database.read() as connection:
            named = connection.execute(select(Chunk.batch_id, Chunk.pack).distinct()).all()
        return sum(not self.blobs.pack_path(batch_id, pack).exists() for batch_id, pack in named)

    def missing_artifacts(self) -> int:
        with self.database.read() as connection:
            known = connection.scalars(select(ModelVersion.sha256)).all()
        return sum(not self.blobs.artifact_path(sha256).exists() for sha256 in known)


def main() -> None:
    """Print the findings of the installation that the environment names."""
    parser = argparse.ArgumentParser(prog="python -m worker.upkeep.repair", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="look only, change nothing")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    for finding in Repair(Settings.from_env()).run(dry_run=asked.dry_run):
        sys.stdout.write(json.dumps(asdict(finding)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
