"""A watched folder: whole images become batches, and each leaves for done/ or failed/ once it has been judged.

The order of every step is journal, then act. A kill between the two makes the next watcher act again, which is safe:
a plan is sent under its own Idempotency-Key, results are written again, and a file that is gone counts as moved.
"""

import hashlib
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared import failpoints
from shared.cli.commands.results import save_results
from shared.cli.hot_folder import moves
from shared.cli.hot_folder.arrivals import Arrivals, why_no_image
from shared.cli.hot_folder.items import Items
from shared.cli.hot_folder.journal import Journal, KnownFile, Plan
from shared.cli.hot_folder.rules import Backlog, Waiting
from shared.cli.output import printable
from shared.client.client import Client, Options
from shared.client.errors import ApiError, Unreachable
from shared.contract.states import FINISHED_BATCH

_MOST_BYTES = 64 * 2**20  # of one batch: its bytes are in memory while they are sent
_MOST_IN_FLIGHT = 4
_LOOK_BACK = 1000  # batches: where a plan may have been accepted before a kill and its files are gone
_TEMPORARY = (408, 409, 425, 429, 500, 502, 503, 504)
_NOT_THE_FILES = (401, 403, 404)


@dataclass
class Watcher:
    """`step` is called again and again with the names that have changed."""

    folder: Path
    client: Client
    journal: Journal
    arrivals: Arrivals
    backlog: Backlog
    options: Options
    view_of: Callable[[str], dict[str, str]] = lambda name: {}
    as_json: bool = False
    rescan_s: float = 5.0
    report: Callable[[dict[str, object]], object] = lambda batch: None
    judged: int = 0
    _unsent: list[Plan] = field(default_factory=list)
    _in_flight: list[Plan] = field(default_factory=list)
    _rescan_at: float = 0.0
    _silent_until: float = 0.0
    _told: str = ""

    def recover(self) -> int:
        """Take up the plans that an earlier watcher left; returns their number."""
        plans = self.journal.open_plans()
        for plan in plans:
            for file in plan.files:
                self.arrivals.take(file.name)
            (self._in_flight if plan.batch_id else self._unsent).append(plan)
        return len(plans)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight) + len(self._unsent)

    def is_idle(self) -> bool:
        """Whether nothing waits, is planned or under way."""
        return not self.in_flight and not self.backlog and self.arrivals.is_idle()

    def step(self, changed: Iterable[str] | None, *, at_end: bool = False) -> None:
        """Look at the changed names, None for all there are, send what is due, and move what has been judged."""
        for name in changed or ():
            self.arrivals.look(name)
        if changed is None or time.monotonic() >= self._rescan_at:
            began = time.monotonic()
            self.arrivals.rescan()
            took = time.monotonic() - began
            # A folder with very many files is looked at less often: the looks take a tenth of the time at most.
            self._rescan_at = time.monotonic() + max(self.rescan_s, 9 * took)
        self._collect()
        if time.monotonic() < self._silent_until:
            return
        try:
            self._send_due(at_end)
            self._finish()
            self._told = ""
        except Unreachable as error:
            self._wait_for_service(str(error), 2.0)
        except ApiError as error:
            if error.status not in _TEMPORARY:
                raise
            self._wait_for_service(str(error), error.retry_after_s or 2.0)

    def _collect(self) -> None:
        for name in self.arrivals.whole():
            try:
                why = why_no_image(str(self.folder / name))
                mtime = (self.folder / name).stat().st_mtime
            except OSError:
                continue  # it is gone, or not yet readable
            if why is not None:
                self.arrivals.leave_out(name)
                _say(f"{name} stays: {why}")
                continue
            self.arrivals.take(name)
            self.backlog.add(Waiting(name, mtime, time.monotonic()))

    def _send_due(self, at_end: bool) -> None:
        while self._unsent and len(self._in_flight) < _MOST_IN_FLIGHT:
            self._send_again(self._unsent[0])
            del self._unsent[0]
        while self.in_flight < _MOST_IN_FLIGHT and (due := self.backlog.take(at_end=at_end)) is not None:
            self._plan(*due)

    def _plan(self, lot: str | None, waiting: Sequence[Waiting]) -> None:
        """Read the files, keep the plan, and send it. A file that changes meanwhile waits for its next look."""
        files: list[KnownFile] = []
        contents: list[tuple[str, bytes]] = []
        again: list[tuple[KnownFile, str]] = []
        held = 0
        for number, each in enumerate(waiting):
            if held >= _MOST_BYTES:
                self.backlog.put_back(waiting[number:])
                break
            read = _read(self.folder, each.name)
            if read is None:
                self.arrivals.release(each.name)
                continue
            file, data = read
            if (batch_id := self.journal.verdict_of(file.name, file.sha256)) is not None:
                again.append((file, batch_id))
                continue
            files.append(file)
            contents.append((file.name, data))
            held += len(data)
        if files:
            plan = self.journal.plan(f"hot-{secrets.token_hex(16)}", lot, files)
            self._unsent.append(plan)
            self._send(plan, contents)
            self._unsent.remove(plan)
        for file, batch_id in again:
            self.arrivals.release(file.name)  # first: if the service is away, the next look finds the file
            self._move_again(file, batch_id)

    def _move_again(self, file: KnownFile, batch_id: str) -> None:
        """A file that got its verdict before under the same name and content: moved with it, and not judged again."""
        item: dict[str, object] = {"status": "succeeded", "filename": file.name, "batch_id": batch_id}
        if self.as_json:
            try:
                found = Items(self.client.items(batch_id)).of(file)
            except ApiError as error:
                if error.status != 404:
                    raise
                found = None  # the batch was deleted, and its verdict with it
            item |= found or {}
        moves.move(self.folder, file, {**item, "duplicate": True}, as_json=self.as_json)

    def _send_again(self, plan: Plan) -> None:
        """Send a plan whose answer never came, if its files are still as they were."""
        contents: list[tuple[str, bytes]] = []
        for file in plan.files:
            read = _read(self.folder, file.name)
            if read is not None and read[0].sha256 == file.sha256:
                contents.append((file.name, read[1]))
        if len(contents) == len(plan.files):
            self._send(plan, contents)
            return
        # The service may have accepted the plan before its files changed: then its batch is found by the key.
        batch_id = self._find(plan.key)
        if batch_id is not None:
            self._sent(plan, batch_id)
            return
        names = [file.name for file in plan.files]
        self.journal.drop(plan.key, names)
        for name in names:
            self.arrivals.release(name)
            self.arrivals.look(name)

    def _send(self, plan: Plan, contents: Sequence[tuple[str, bytes]]) -> None:
        try:
            batch = self.client.submit(
                contents,
                self._options_of(plan),
                manifest=self._manifest([name for name, _ in contents]),
                idempotency_key=plan.key,
            )
        except ApiError as error:
            if error.status in _TEMPORARY or error.status in _NOT_THE_FILES:
                raise
            self._refused(plan, error)
            return
        failpoints.hit("watch.answered", plan.key)
        self._sent(plan, batch["id"])

    def _refused(self, plan: Plan, error: ApiError) -> None:
        """The service refuses this content: halved until the file at fault is alone, which then fails."""
        self.journal.drop(plan.key, [file.name for file in plan.files])
        if len(plan.files) > 1:
            middle = len(plan.files) // 2
            for part in (slice(None, middle), slice(middle, None)):
                key = f"hot-{secrets.token_hex(16)}"
                self._unsent.append(self.journal.plan(key, plan.lot, plan.files[part]))
            return
        file = plan.files[0]
        _say(f"{file.name} fails: {error.detail}")
        item = {"filename": file.name, "error": {"code": error.code, "detail": error.detail}}
        moves.move(self.folder, file, item, as_json=self.as_json)
        self.arrivals.release(file.name)

    def _sent(self, plan: Plan, batch_id: str) -> None:
        self.journal.sent(plan.key, batch_id)
        self._in_flight.append(Plan(plan.key, plan.lot, batch_id, plan.files))
        _say(f"{batch_id}: {len(plan.files)} images" + (f" of lot {plan.lot}" if plan.lot else ""))

    def _options_of(self, plan: Plan) -> Options:
        metadata = {**self.options.get("metadata", {}), "hot_folder": plan.key}
        options: dict[str, object] = {**self.options, "metadata": metadata}
        if plan.lot is not None:
            options["lot"] = plan.lot
        return options  # type: ignore[return-value]

    def _manifest(self, names: Sequence[str]) -> bytes | None:
        """The parts and views of these files as NDJSON; None where none of them shows a part."""
        lines = [json.dumps({"filename": name, **view}) for name in names if (view := self.view_of(name))]
        return "\n".join(lines).encode() if lines else None

    def _find(self, key: str) -> str | None:
        for number, batch in enumerate(self.client.batches(limit=100)):
            if batch["metadata"].get("hot_folder") == key:
                return batch["id"]
            if number >= _LOOK_BACK:
                break
        return None

    def _finish(self) -> None:
        """Move the files of the batches that have ended; waits a moment for the oldest where nothing else is to do."""
        for number, plan in enumerate(list(self._in_flight)):
            assert plan.batch_id is not None
            wait = 0.2 if number == 0 and not self.backlog else None
            try:
                if self.client.batch(plan.batch_id, wait=wait)["status"] in FINISHED_BATCH:
                    self._move_all(plan)
            except ApiError as error:
                if error.status != 404:
                    raise
                self._judge_again(plan)  # a person deleted the batch, or its retention is over

    def _move_all(self, plan: Plan) -> None:
        assert plan.batch_id is not None
        items = Items(self.client.items(plan.batch_id))
        if not self.as_json:
            table = self.folder / moves.DONE / f"{plan.batch_id}.csv"
            table.parent.mkdir(exist_ok=True)
            save_results(self.client, plan.batch_id, "csv", table)
        places: dict[str, list[str]] = {}
        for file in plan.files:
            place = moves.move(self.folder, file, items.of(file), as_json=self.as_json)
            places.setdefault(place, []).append(file.name)
        for place, names in places.items():
            self.journal.moved(plan.key, names, place)
        self.journal.ended(plan.key)
        self._in_flight.remove(plan)
        for file in plan.files:
            self.arrivals.release(file.name)
        self.judged += len(plan.files)
        done, failed = (len(places.get(place, ())) for place in (moves.DONE, moves.FAILED))
        _say(f"{plan.batch_id}: {done} done, {failed} failed")
        self.report({"batch": plan.batch_id, "lot": plan.lot, "done": done, "failed": failed})

    def _judge_again(self, plan: Plan) -> None:
        self.journal.drop(plan.key, [file.name for file in plan.files])
        self._in_flight.remove(plan)
        for file in plan.files:
            self.arrivals.release(file.name)
            self.arrivals.look(file.name)

    def _wait_for_service(self, why: str, seconds: float) -> None:
        self._silent_until = time.monotonic() + min(seconds, 30.0)
        if why != self._told:
            self._told = why
            _say(f"{why}; going on as soon as the service answers")


def _read(folder: Path, name: str) -> tuple[KnownFile, bytes] | None:
    """A file and its bytes; None where it is gone or is written while it is read."""
    path = folder / name
    try:
        before = path.stat()
        data = path.read_bytes()
        after = path.stat()
    except OSError:
        return None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(
        data
    ) != after.st_size:
        return None
    return KnownFile(name, hashlib.sha256(data).hexdigest(), after.st_size, after.st_mtime_ns), data


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
