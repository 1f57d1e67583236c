"""`python -m training {render, check, train, guard, hasten, evaluate, publish, quality}`."""

import argparse
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import GonogoError
from training.arguments import parser_for
from training.artifacts import artifact_at

if TYPE_CHECKING:
    from training.data.records import Source

_BUDGET_MIN = {"recipe": 30.0, "original": 24 * 60.0}


def main(arguments: list[str] | None = None) -> int:
    """0 when done, 1 when the data or the artifact is refused, 2 for a wrong command line, 130 after
    Ctrl-C."""
    options = parser_for(__doc__, _RUNS).parse_args(arguments)
    try:
        return int(options.run(options))
    except (GonogoError, ValueError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("training: interrupted before anything was worth keeping", file=sys.stderr)
        return 130


def _render(options: argparse.Namespace) -> int:
    from training.synthetic.render import render

    render(
        options.folder,
        count=options.count,
        seed=options.seed,
        size=options.size,
        defect_share=options.defect_share,
        masks=options.masks,
    )
    return 0


def _check(options: argparse.Namespace) -> int:
    from training.data.check import check

    source = _source(options)
    report = check(source, full_scale=options.full_scale)
    if not options.json:
        print(report.as_text())
    trains = find_spec("torch") is not None  # a look needs no extra
    if trains:
        from training.kept_apart import keep_families_apart
        from training.options import Options

        say = (lambda line: None) if options.json else print
        keep_families_apart(report, source, Options("", Path(), full_scale=options.full_scale), say)
    if options.json:
        print(json.dumps(report.as_json(), indent=1))
    if trains:
        from training.pipeline import refuse_untrainable

        refuse_untrainable(report)
    return 0


def _train(options: argparse.Namespace) -> int:
    from training.data.records import DataError
    from training.data.reviews import gather
    from training.options import Options
    from training.pipeline import train_folder
    from training.progress import Bar
    from training.proof.operating_point import Costs

    bar = Bar()
    if options.folder is None and options.from_reviews is None:
        raise DataError("name a folder of images, or say where reviews come from with --from-reviews")
    name = model_name(options)
    output = options.output or Path("runs") / name
    _need(options)
    _need_room(output)
    source = None if options.folder is None else _source(options)
    if options.from_reviews is not None:
        key = options.key_file.read_text().strip() if options.key_file else None
        source = gather(options.from_reviews, output / "reviews", key=key, besides=source, say=bar.say)
    assert source is not None
    train_folder(
        source,
        Options(
            name=name,
            output=output,
            budget_min=_BUDGET_MIN[options.preset] if options.budget is None else options.budget,
            preset=options.preset,
            split=options.split,
            seed=options.seed,
            device=options.device,
            threads=options.threads,
            side=options.side,
            speed=options.speed,
            mirrors=options.mirrors,
            full_scale=options.full_scale,
            costs=Costs(
                options.escape_cost,
                options.reject_cost,
                options.review_cost,
                options.max_escape_rate,
                options.confidence,
                options.prevalence,
            ),
            notice=options.notice.read_text() if options.notice else "",
            start=options.start,
            go_on=options.go_on,
            teacher=options.teacher,
            serve=options.serve,
            images_per_second=options.images_per_second,
            unlabelled=options.unlabelled,
        ),
        test_folder=_source(options, options.test) if options.test else None,
        say=bar.say,
        progress=bar,
    )
    return 0


def model_name(options: argparse.Namespace) -> str:
    """The model's name. Raises InvalidModelName where it can't name a version or a file."""
    from shared.registry.versions import InvalidModelName, check_name

    folder: Path | None = options.folder and options.folder.absolute()
    usual = "reviews" if folder is None else folder.stem if folder.is_file() else folder.resolve().name
    name: str = options.name or usual
    check_name(name)
    if name != Path(name).name or "\\" in name or name.startswith("."):
        raise InvalidModelName(
            f"a model's name is a file's name too, and {name!r} can't be one: use --name NAME"
        )
    return name


def _need(options: argparse.Namespace) -> None:
    """Raise DataError for a path that is needed after the look at all images, and not there."""
    from training.data.records import DataError

    start = None if options.start in ("auto", "none") else Path(options.start)
    for word, path in (("--start", start), ("--go-on", options.go_on), ("--test", options.test)):
        if path is not None and not path.exists():
            raise DataError(f"{word}: there is no {path}")
    if options.unlabelled is not None and not options.unlabelled.is_dir():
        raise DataError(f"--unlabelled: there is no folder {options.unlabelled}")


def _need_room(output: Path) -> None:
    """Raise DataError where nothing can be written to a folder, which need not be there yet: all images are looked at
    before the first file is."""
    from training.data.records import DataError

    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir():
        raise DataError(f"--output {output}: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"--output {output}: {there} can't be written to")


def _source(options: argparse.Namespace, path: Path | None = None) -> "Source":
    """The folder with the words that the command line gives."""
    from training.data.records import Source
    from training.data.words import Words

    return Source(
        path or options.folder, Words(tuple(options.good), tuple(options.defect)), options.part or None
    )


def _guard(options: argparse.Namespace) -> int:
    from training.guarding import add_guard, add_kinds, add_reference
    from training.progress import Bar
    from training.repointing import add_point

    bar = Bar()
    _need_room(options.output)
    add = {"guard": add_guard, "kinds": add_kinds, "reference": add_reference, "point": add_point}
    add[options.add](
        options.artifact,
        _source(options),
        options.output,
        test_folder=_source(options, options.test) if options.test else None,
        threads=options.threads,
        say=bar.say,
        progress=bar,
    )
    return 0


def _hasten(options: argparse.Namespace) -> int:
    from training.hastening import hasten
    from training.progress import Bar

    bar = Bar()
    _need_room(options.output)
    hasten(
        options.artifact,
        options.folder,
        options.output,
        threads=options.threads,
        say=bar.say,
        progress=bar,
    )
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from training.data.load import listing
    from training.data.records import DataError, contradicting, nearly_all_named
    from training.data.report import report_of
    from training.progress import Bar
    from training.proof.evaluate import evaluate, identified, judge_records, write_results
    from training.proof.evaluation import left_out_lines, result_lines, told

    artifact, source = artifact_at(options.artifact), _source(options)
    if options.output is not None:
        _need_room(options.output.parent)
        if options.output.is_dir():
            raise DataError(f"--output {options.output} is a folder: name a file")
    listed = listing(source)
    records = identified(listed.records)
    if options.only_test is not None:
        from training.proof.evaluate import only_test_part

        records = only_test_part(records, options.only_test)
    both = contradicting(records)
    for line in [*report_of(listed, source).left_out(), *left_out_lines(records, both, source.path)]:
        print(line, file=sys.stderr if options.json else sys.stdout)
    records = [record for record in records if record.identity not in both]
    outcomes = judge_records(artifact, records, threads=options.threads, progress=Bar())
    report = evaluate(artifact, records, outcomes)
    if options.output is not None:
        write_results(options.output, artifact, records, outcomes)
    if options.against is not None:
        from training.proof.live import compare

        key = options.key_file.read_text().strip() if options.key_file else None
        seen = compare(artifact, records, outcomes, url=options.against, key=key)
        print(
            f"{options.against}: {seen.pictures} images, {seen.different} answered otherwise, "
            f"scores differ by {seen.score_difference:g} at most"
        )
        if seen.different:
            return 1
    named = nearly_all_named(records)
    if options.json:
        print(json.dumps(told(artifact, report, records, outcomes, by_parts=named), indent=1))
    else:
        print(*result_lines(artifact, report, records, outcomes, by_parts=named), sep="\n")
    return 0 if report is not None else 1


def _publish(options: argparse.Namespace) -> int:
    from training.output.publish import publish

    key = options.key or (options.key_file.read_text().strip() if options.key_file else None)
    print(publish(options.artifact, url=options.url, key=key, activate=options.activate))
    return 0


_FLAWS = 200  # at which the heatmaps point; a minute and a half


def _quality(options: argparse.Namespace) -> int:
    """All of it, or the one part that was asked for."""
    from training.proof import drift
    from training.proof.guard_table import write_guard_tables
    from training.proof.pointing import play, rendered_parts
    from training.proof.quality import Wanted, quality, test_parts

    if options.fix_test_parts is not None:
        test_parts(options.data, options.runs, options.fix_test_parts)
        return 0
    if options.heatmaps:
        play(rendered_parts(), options.heatmaps)
        return 0
    if options.drift:
        drift.play(options.drift)
        return 0
    whole, failed = not options.few and not options.guard, []
    if whole or options.few:
        presets = ("recipe", "original")[: 1 + options.original] if whole else ()
        few = options.few or not options.only
        only, threads = tuple(options.only), options.threads
        wanted = Wanted(options.data, options.runs, options.page, options.budget, presets, only, threads, few)
        failed = quality(wanted, jobs=options.jobs)
    if options.guard or (whole and not options.only):
        write_guard_tables(options.data, options.runs, options.page, count=options.guard_images, say=print)
    if whole:
        play(rendered_parts(), _FLAWS)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


_RUNS = {
    "render": _render,
    "check": _check,
    "train": _train,
    "guard": _guard,
    "hasten": _hasten,
    "evaluate": _evaluate,
    "publish": _publish,
    "quality": _quality,
}
