"""A batch in words, and the exit status that it deserves."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.cli.output import Progress, printable
from shared.contract.notices import notices
from shared.contract.options import LABELS

if TYPE_CHECKING:
    from shared.client.client import Client
    from shared.contract.batches import BatchPayload

_INCOMPLETE = 4


def standing(batch: BatchPayload) -> str:
    """The status, and how a batch ended in which not every item has a verdict."""
    if batch["blocked"] and batch["finished_at"] is None:
        return f"{batch['status']} (blocked)"
    outcome = batch["outcome"]
    return batch["status"] if outcome in {None, "all_succeeded"} else f"{batch['status']} ({outcome})"


def lost(batch: BatchPayload) -> int:
    """Items that have ended without a verdict."""
    counts = batch["counts"]
    return counts["failed"] + counts["cancelled"] + counts["expired"]


def describe(batch: BatchPayload) -> str:
    """A batch in a few lines."""
    counts, verdicts = batch["counts"], batch["verdicts"]
    name = f"  {printable(batch['name'])}" if batch.get("name") else ""
    open_items = counts["queued"] + counts["processing"]
    lines = [
        f"batch    {batch['id']}  {batch['status']}"
        + (f" ({batch['outcome']})" if batch["outcome"] else "")
        + name,
        f"items    {counts['total']}: {counts['succeeded']} decided, {open_items} open, "
        f"{counts['failed']} failed, {counts['cancelled']} cancelled, {counts['expired']} expired",
        "verdicts " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()),
    ]
    if (found := batch.get("parts")) and found["total"]:
        lines.append(
            f"parts    {found['total']}: {found['defect']} defect, {found['no_defect']} no_defect, "
            f"{found['review']} review"
        )
    labels = {label: batch.get(label) for label in LABELS}
    if any(labels.values()):
        given = [f"{label} {printable(value)}" for label, value in labels.items() if value]
        lines.append(f"labels   {', '.join(given)}")
    if batch["model"]:
        lines.append(f"model    {batch['model']['name']}  {batch['model']['id']}")
    if page := batch["links"].get("page"):
        lines.append(f"page     {page}")
    lines += [f"notice   {printable(sentence)}" for sentence in notices(batch)]
    return "\n".join(lines)


def outcome_status(batch: BatchPayload) -> int:
    """4 for a failed, cancelled or expired item or a batch that did not complete, else 0."""
    return (
        _INCOMPLETE
        if lost(batch) or batch["status"] in {"cancelling", "cancelled", "expired", "failed"}
        else 0
    )


def progress_text(batch: BatchPayload) -> str:
    """A line: items done, verdicts, speed, time left."""
    counts, verdicts, eta = batch["counts"], batch["verdicts"], batch["eta"]
    done = counts["total"] - counts["queued"] - counts["processing"]
    text = (
        f"{done}/{counts['total']}  {verdicts['defect']} defect  {verdicts['no_defect']} no_defect  "
        f"{verdicts['review']} review"
    )
    if lost(batch):
        text += f"  {lost(batch)} without a verdict"
    if eta and eta["items_per_second"]:
        text += f"  {eta['items_per_second']:.1f} images/s"
        if done < counts["total"]:
            text += f"  ETA {(counts['total'] - done) / eta['items_per_second']:.0f} s"
    elif batch.get("no_eta") == "paused":
        text += "  paused"
    return text


def follow(client: Client, batch_id: str, *, timeout_s: float | None = None) -> BatchPayload:
    """Show a batch's progress on stderr until it has finished; raises TimeoutError."""
    progress = Progress()
    for batch in client.watch(batch_id, timeout_s=timeout_s, hold_s=5.0):
        progress.show(batch["progress"], progress_text(batch))
    progress.show(batch["progress"], progress_text(batch), final=True)
    return batch


@contextlib.contextmanager
def watched(batch_id: str) -> Iterator[None]:
    """Say that the service goes on with the batch where a person or a timeout ends the waiting inside."""
    try:
        yield
    except (KeyboardInterrupt, TimeoutError):
        print(
            f"\nThe service goes on with {batch_id}. Follow it: gonogo watch {batch_id}. "
            f"Stop it: gonogo cancel {batch_id}.",
            file=sys.stderr,
        )
        raise
