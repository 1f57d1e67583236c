"""`gonogo submit`: send images, and perhaps wait for their verdicts."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from shared.cli import service
from shared.cli.batch_text import describe, follow, outcome_status, watched
from shared.cli.commands.results import check_place, format_of, save_results
from shared.cli.inputs_file import read_inputs
from shared.cli.output import Progress, megabytes, print_json
from shared.cli.pairs import pairs
from shared.cli.skipped import Skipped
from shared.client.errors import OtherImages
from shared.contract.options import FRAMES, LABELS, descriptions, wrong_secret
from shared.contract.states import Lane, PartRule

if TYPE_CHECKING:
    from shared.client.client import Client, Options
    from shared.contract.batches import BatchPayload
    from shared.contract.inputs import Input
    from shared.contract.options import WebhookOptions


_ABOUT = descriptions()


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FOR_NOW = (429, 502, 503, 504)
_TEXTS = ("name", *LABELS, "model")
_WITH_FLAG = {*_TEXTS, "metadata", "priority", "part_rule", "expected_views", "frames", "webhook"}
_OTHERS = [name for name in _ABOUT if name not in _WITH_FLAG]


def _texts(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for each option of a submission that is one text."""
    for option in reversed(_TEXTS):
        command = click.option(f"--{option}", help=option_help(option))(command)
    return command


def option_help(option: str) -> str:
    """The contract's sentence about an option of a submission."""
    return f"{_ABOUT[option][0].upper()}{_ABOUT[option][1:]}."


def _views(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    return [view.strip() for view in text.split(",") if view.strip()] if text else None


def part_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that say how the views of a part make its verdict."""
    rules = [rule.value for rule in PartRule]
    command = click.option(
        "--expected-views", callback=_views, metavar="VIEW,VIEW,...", help=option_help("expected_views")
    )(command)
    return click.option("--part-rule", type=click.Choice(rules), help=option_help("part_rule"))(command)


@click.command(
    short_help="send images as one batch",
    epilog="Exit status: 0 accepted (with --wait: every item has its verdict); 1 refused; 2 unusable "
    "input; 3 no service; 4 items were refused or failed, or the batch did not complete.",
)
@click.argument("paths", nargs=-1, metavar="PATH_OR_URL...", type=click.Path())
@_texts
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", help=f"{option_help('metadata')} May be repeated."
)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="CSV or NDJSON: filename, custom_id, part_id, view and metadata of each image.",
)
@click.option(
    "--inputs",
    "listed",
    metavar="FILE",
    help="Instead of paths: a JSON list of inputs (url, object or data, with tags), or one in each line; - is stdin.",
)
@click.option(
    "--resume", metavar="BATCH", help="Go on with a batch whose sending ended: send the files that it lacks."
)
@click.option(
    "--part-mb",
    type=click.IntRange(min=1),
    metavar="MB",
    help="Send in parts of this size, for a poor connection (without it: of 32 MB, from 256 MB on).",
)
@click.option("--priority", type=click.Choice([lane.value for lane in Lane]), help=option_help("priority"))
@part_flags
@click.option("--frames", type=click.Choice(FRAMES), help=option_help("frames"))
@click.option(
    "--option", "others", multiple=True, metavar="NAME=JSON",
    help=f"A further option as in the API: {', '.join(_OTHERS)}. May be repeated.",
)  # fmt: skip
@click.option("--webhook", metavar="URL", help=f"{option_help('webhook')} Its new secret is printed once.")
@click.option(
    "--webhook-secret-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --webhook: sign with the secret in this file (whsec_…) and print none.",
)
@click.option("--wait", is_flag=True, help="Wait until it has finished.")
@click.option(
    "--timeout", type=service.seconds, metavar="SECONDS", help="With --wait: give up waiting after this."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write .csv, .ndjson or .parquet when finished (waits).",
)
@service.options
@service.as_json
def submit(
    where: service.Where,
    as_json: bool,
    paths: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    output: Path | None,
    manifest: Path | None,
    resume: str | None,
    part_mb: int | None,
    listed: str | None,
    **asked: Any,
) -> int:
    """Send images (files, or folders with everything below them) or one zip or tar as one batch.

    In a folder, files are images by their content or their extension; the others are counted and named on stderr.
    Images that the service fetches itself are named by URLs (http, https) or objects (s3://BUCKET/KEY).
    """
    options = _options(**asked)
    inputs = _inputs(paths, listed, manifest, resume, part_mb)
    format = format_of(output) if output is not None else ""
    if output is not None:
        check_place(output)
    left_out = Skipped()
    with service.open_client(where, patience_s=60.0) as client:
        with _sending() as (opened, secrets), contextlib.ExitStack() as at_end:
            at_end.callback(left_out.say)
            if inputs:
                batch = client.submit_inputs(inputs, options)
            else:
                batch = client.submit(
                    paths,
                    options,
                    manifest=manifest,
                    progress=_sent(),
                    skipped=left_out.add,
                    broken=_broken,
                    opened=opened.append,
                    secret=secrets.append,
                    resume=resume,
                    part_bytes=None if part_mb is None else part_mb * 2**20,
                )
        secret = batch.get("webhook_secret")
        if secret and not as_json:  # at once: the waiting may be interrupted
            _say_secret(secret)
        if wait or output is not None:
            batch = _wait(client, batch, timeout)
        if output is not None:
            save_results(client, batch["id"], format, output)
    if secret:
        batch["webhook_secret"] = secret  # an answer to a poll does not hold it
    print_json(batch) if as_json else print(describe(batch))
    return outcome_status(batch)


def _inputs(
    paths: tuple[str, ...],
    listed: str | None,
    manifest: Path | None,
    resume: str | None,
    part_mb: int | None,
) -> list[Input]:
    """The inputs that --inputs lists, or that the arguments name by URL or as objects; none where these are files."""
    if listed is not None:
        if paths or manifest or resume or part_mb:
            raise click.UsageError("--inputs stands alone: without paths, --manifest, --resume and --part-mb")
        return read_inputs(listed)
    if not paths:
        raise click.UsageError("name images, folders, an archive or URLs; or --inputs FILE")
    remote = [path for path in paths if path.lower().startswith(("http://", "https://", "s3://"))]
    if remote and (len(remote) < len(paths) or manifest or resume or part_mb):
        raise click.UsageError("URLs and objects are sent without files, --manifest, --resume and --part-mb")
    for path in paths:
        if _URL.match(path) and path not in remote and not Path(path).exists():
            raise service.Usage(f"{path}: only http, https and s3 URLs are taken")
    return [{"object": path} if path.startswith("s3://") else {"url": path} for path in remote]


def _wait(client: Client, batch: BatchPayload, timeout_s: float | None) -> BatchPayload:
    with watched(batch["id"]):
        print(f"batch {batch['id']}: {batch['counts']['total']} items", file=sys.stderr)
        return follow(client, batch["id"], timeout_s=timeout_s)


@contextlib.contextmanager
def _sending() -> Iterator[tuple[list[str], list[str]]]:
    """Collects the id of the draft that takes the parts, and its new webhook secret; says what is left of a sending
    that ends too early."""
    opened: list[str] = []
    secrets: list[str] = []
    try:
        yield opened, secrets
    except BaseException as error:
        for secret in secrets:  # a resume is not told it again
            _say_secret(secret)
        goes_on = isinstance(error, KeyboardInterrupt) or getattr(error, "status", 503) in _FOR_NOW
        goes_on = goes_on and not isinstance(error, OtherImages)  # which says by itself how to go on
        if opened and goes_on:
            print(
                f"\n{opened[0]} keeps the parts that arrived. Go on: the same command with --resume {opened[0]}. "
                f"Give it up: gonogo delete {opened[0]}.",
                file=sys.stderr,
            )
        elif isinstance(error, KeyboardInterrupt):
            print(
                "\nThe service keeps a submission where all of it has arrived: see gonogo status.",
                file=sys.stderr,
            )
        raise


def _say_secret(secret: str) -> None:
    print(f"\nwebhook secret (shown once): {secret}", file=sys.stderr)


def _broken(sent: int, total: int, reason: str) -> None:
    print(f"\n{reason}: going on at {megabytes(sent)} of {megabytes(total)}", file=sys.stderr, flush=True)


def _sent() -> Callable[[int, int], None] | None:
    """A progress callback that draws the bytes sent and their speed."""
    progress, began = Progress(), time.monotonic()

    def sent(count: int, total: int) -> None:
        speed = count / max(time.monotonic() - began, 0.001)
        text = f"sent {megabytes(count)} of {megabytes(total)}, {megabytes(speed)}/s"
        progress.show(count / total, text, final=count == total)

    return sent


def _options(
    *,
    metadata: tuple[str, ...],
    priority: Any,
    frames: str | None,
    others: tuple[str, ...],
    webhook: str | None,
    webhook_secret_file: Path | None,
    **plain: object,
) -> Options:
    noted = pairs("--metadata", metadata)
    options = cast("Options", {**{name: value for name, value in plain.items() if value}, **_others(others)})
    if noted:
        options["metadata"] = {**noted}
    if priority:
        options["priority"] = priority
    if frames:
        options["frames"] = frames
    if webhook:
        receiver: WebhookOptions = {"url": webhook}
        if webhook_secret_file is not None:
            receiver["secret"] = _secret_in(webhook_secret_file)
        options["webhook"] = receiver
    elif webhook_secret_file is not None:
        raise service.Usage("--webhook-secret-file needs --webhook")
    return options


def _others(pairs: tuple[str, ...]) -> dict[str, object]:
    """Options without a flag of their own. The service judges their values."""
    found: dict[str, object] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in _OTHERS or name in found:
            raise service.Usage(f"--option takes each of {', '.join(_OTHERS)} once, not {name!r}")
        try:
            found[name] = json.loads(text)
        except ValueError:
            raise service.Usage(f"--option {name} takes JSON, not {text!r}") from None
    return found


def _secret_in(file: Path) -> str:
    """The webhook secret in a file; an unusable one is refused here, and no message quotes it."""
    try:
        secret = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise service.Usage(
            f"--webhook-secret-file {file}: {getattr(error, 'strerror', None) or 'no text'}"
        ) from None
    if (wrong := wrong_secret(secret)) is not None:
        raise service.Usage(f"--webhook-secret-file {file}: {wrong}")
    return secret
