"""`gonogo watch-folder`: every image that arrives in a folder gets a verdict."""

from __future__ import annotations

import fcntl
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from shared.cli import service
from shared.cli.commands.submit import option_help, part_flags
from shared.contract.states import Lane

if TYPE_CHECKING:
    from shared.cli.hot_folder.watcher import Watcher

_STATE = ".gonogo"
_TICK_S = 0.1


@click.command(
    "watch-folder",
    short_help="judge every image that arrives in a folder",
    epilog="Exit status: 0 with --once, when all is judged; 1 refused; 2 usage; 130 interrupted.",
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--batch",
    "by",
    default="now",
    show_default=True,
    metavar="now|lot|hour|N",
    help="When waiting images become a batch: at once, when their lot or hour is over, or N at a time.",
)
@click.option(
    "--lot-from",
    metavar="folder|REGEX",
    help="Where an image's lot stands: its folder's name, or one group of a pattern.",
)
@click.option(
    "--quiet", type=service.seconds, default=60.0, show_default=True, metavar="SECONDS",
    help="With --batch lot: a lot without a new image for so long is over.",
)  # fmt: skip
@click.option(
    "--settle", type=service.seconds, default=0.25, show_default=True, metavar="SECONDS",
    help="An image is whole when its size and time have held still for so long.",
)  # fmt: skip
@click.option(
    "--rescan", type=service.seconds, default=5.0, show_default=True, metavar="SECONDS",
    help="Look at the whole folder so often; network drives send no events.",
)  # fmt: skip
@click.option("--poll", is_flag=True, help="Use no file events at all, only the rescan.")
@click.option(
    "--results",
    type=click.Choice(["csv", "json"]),
    default="csv",
    show_default=True,
    help="csv: done/BATCH.csv; json: a .json next to each image.",
)
@click.option(
    "--state", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Where the journal lies (default: FOLDER/.gonogo).",
)  # fmt: skip
@click.option(
    "--part-from", metavar="REGEX",
    help="Which part and view an image shows: a pattern of its name with the group (?P<part>…), and perhaps "
    "(?P<view>…). The part's images must come in the same batch.",
)  # fmt: skip
@part_flags
@click.option("--priority", type=click.Choice([lane.value for lane in Lane]), help=option_help("priority"))
@click.option("--model", help=option_help("model"))
@click.option("--once", is_flag=True, help="Judge what is there, and end.")
@service.options
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each batch that has ended.")
def watch_folder(
    where: service.Where,
    as_json: bool,
    folder: Path,
    by: str,
    lot_from: str | None,
    part_from: str | None,
    quiet: float,
    settle: float,
    rescan: float,
    poll: bool,
    results: str,
    state: Path | None,
    once: bool,
    **asked: object,
) -> int:
    """Judge every image that arrives in FOLDER, and move it to done/ or failed/ inside it.

    A watcher may be stopped or killed at any moment: the next one goes on, and no image is judged twice. A file that
    is no image stays where it is.
    """
    from shared.cli.hot_folder.arrivals import Arrivals
    from shared.cli.hot_folder.journal import Journal
    from shared.cli.hot_folder.rules import Backlog, Rule, lots, views
    from shared.cli.hot_folder.watcher import Watcher

    if by not in ("now", "lot", "hour") and not (by.isdigit() and int(by) > 0):
        raise service.Usage(f"--batch is now, lot, hour or a number, not {by!r}")
    if by == "lot" and lot_from is None:
        raise service.Usage("--batch lot needs --lot-from: where does an image's lot stand?")
    try:
        lot_of = lots(lot_from)
    except re.error as error:
        raise service.Usage(f"--lot-from {lot_from!r}: {error}") from error
    try:
        view_of = views(part_from)
    except re.error as error:
        raise service.Usage(f"--part-from {part_from!r}: {error}") from error
    folder = folder.resolve()
    if folder == folder.parent:
        raise service.Usage(f"{folder} is the whole file system: name a folder that gets images alone")
    state = state or folder / _STATE
    with service.open_client(where, patience_s=10.0) as client, _lock(state, folder):
        journal = Journal(state / "journal.sqlite")
        watcher = Watcher(
            folder=folder,
            client=client,
            journal=journal,
            arrivals=Arrivals(folder, settle),
            backlog=Backlog(Rule(by=by, lot_of=lot_of, quiet_s=quiet)),
            view_of=view_of,
            options={name: value for name, value in asked.items() if value is not None},  # type: ignore[arg-type]
            as_json=results == "json",
            rescan_s=rescan,
            report=(lambda batch: click.echo(json.dumps(batch))) if as_json else (lambda batch: None),
        )
        try:
            return _run(watcher, folder, poll=poll, once=once)
        finally:
            journal.close()


def _run(watcher: Watcher, folder: Path, *, poll: bool, once: bool) -> int:
    left = watcher.recover()
    if left:
        click.echo(f"going on with {left} batches of an earlier watcher", err=True)
    click.echo(f"watching {folder} (Ctrl-C ends it; the next watcher goes on)", err=True)
    try:
        for names in _ticks(watcher.rescan_s) if poll else _changes(folder):
            watcher.step(names, at_end=once)
            if once and watcher.is_idle():
                return 0
    finally:
        click.echo(f"{watcher.judged} images judged, {watcher.in_flight} batches under way", err=True)
    raise KeyboardInterrupt


def _changes(folder: Path) -> Iterator[list[str] | None]:
    """The names inside the folder that have changed, again and again; often none. None: look at the whole folder."""
    import watchfiles

    tick_ms = round(1000 * _TICK_S)
    while True:
        try:
            for changes in watchfiles.watch(
                folder, watch_filter=None, debounce=50, step=25, rust_timeout=tick_ms, yield_on_timeout=True
            ):
                yield [
                    Path(path).relative_to(folder).as_posix()
                    for change, path in changes
                    if change is not watchfiles.Change.deleted
                ]
        except RuntimeError:  # an event of a name that is no UTF-8 ends the watch
            yield None
            time.sleep(_TICK_S)


def _ticks(rescan_s: float) -> Iterator[list[str] | None]:
    while True:
        yield []
        time.sleep(min(_TICK_S, rescan_s))


def _lock(state: Path, folder: Path) -> IO[str]:
    """The lock of a folder, held while the file is open; raises Usage where another watcher has it."""
    state.mkdir(parents=True, exist_ok=True)
    file = (state / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise service.Usage(f"another watcher has {folder}") from None
    return file
