"""`python -m training {render, check, train, evaluate, publish, quality}`."""

import argparse
import json
import os
import sys
from pathlib import Path

from shared.errors import GonogoError
from shared.registry.artifact import read_artifact

_BUDGET_MIN = {"recipe": 30.0, "original": 24 * 60.0}


def main(arguments: list[str] | None = None) -> int:
    """0 when done, 1 when the data or the artifact is refused, 2 for a wrong command line, 130 after
    Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (GonogoError, ValueError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("training: interrupted before anything was worth keeping", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    render = commands.add_parser("render", help="draw a set of made-up parts with known flaws")
    render.add_argument("folder", type=Path)
    render.add_argument("--count", type=int, default=2000)
    render.add_argument("--seed", type=int, default=0)
    render.add_argument("--size", type=int, default=300, help="side in pixels")
    render.add_argument("--defect-share", type=float, default=0.5)
    render.add_argument("--masks", action="store_true", help="also write the flawed pixels of each picture")
    render.set_defaults(run=_render)

    check = commands.add_parser("check", help="look at a folder: unreadable files, duplicates, leaks")
    check.add_argument("folder", type=Path)
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_check)

    train = commands.add_parser("train", help="train on any folder of defect and good pictures")
    train.add_argument(
        "folder", type=Path, help="defect/ and no_defect/ below it, or a CSV with file, label, group"
    )
    train.add_argument("--output", type=Path, help="run folder; runs/NAME by default")
    train.add_argument("--name", help="of the model; the folder's name by default")
    train.add_argument(
        "--budget",
        type=float,
        metavar="MINUTES",
        help="30 by default; a day for the original preset, which ends by its own patience",
    )
    train.add_argument("--preset", choices=["recipe", "original"], default="recipe")
    train.add_argument("--split", choices=["auto", "grouped", "random", "given"], default="auto")
    train.add_argument("--test", type=Path, metavar="FOLDER", help="another folder that is the test part")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument(
        "--start",
        default="auto",
        metavar="ARTIFACT",
        help="begin with these weights; by default with rendered-parts where the network is the same, or `none`",
    )
    train.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    train.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1))
    train.add_argument("--side", type=int, help="bring large pictures to this side instead of the recipe's")
    train.add_argument("--speed", type=float, metavar="M", help="at most M million multiply-adds a picture")
    train.add_argument("--mirrors", type=int, choices=[1, 2, 4], help="mirrored copies to average at serving")
    train.add_argument(
        "--full-scale", type=int, help="the value that means white in pictures of more than 8 bits"
    )
    train.add_argument("--escape-cost", type=float, default=1.0)
    train.add_argument("--reject-cost", type=float, default=1.0)
    train.add_argument("--review-cost", type=float, default=0.2)
    train.add_argument("--max-escape-rate", type=float, help="a target instead of a cost, 0 to 1")
    train.add_argument("--notice", type=Path, help="a licence text that must travel with the weights")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="score a folder with an artifact, as the service would")
    evaluate.add_argument("artifact", type=Path)
    evaluate.add_argument("folder", type=Path)
    evaluate.add_argument("--output", type=Path, help="write a verdict for each picture to this CSV")
    evaluate.add_argument(
        "--only-test", type=Path, metavar="RUN", help="only the test part of this run folder"
    )
    evaluate.add_argument(
        "--against", metavar="URL", help="also ask this running service, and compare one by one"
    )
    evaluate.add_argument("--key-file", type=Path, help="its key: for an embedded service DATA_DIR/admin-key")
    evaluate.add_argument("--threads", type=int, default=1)
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(run=_evaluate)

    publish = commands.add_parser("publish", help="put an artifact into a running service")
    publish.add_argument("artifact", type=Path, help="a .gonogo file or a run folder")
    publish.add_argument("--url", default="http://127.0.0.1:8000")
    publish.add_argument("--key", help="an API key; or --key-file")
    publish.add_argument("--key-file", type=Path, help="for an embedded service: DATA_DIR/admin-key")
    publish.add_argument("--activate", action="store_true", help="let new batches use it")
    publish.set_defaults(run=_publish)

    quality = commands.add_parser("quality", help="train and measure on every set that is present")
    quality.add_argument("--data", type=Path, default=Path("../data"), help="folders with an images.csv each")
    quality.add_argument("--runs", type=Path, default=Path("runs/quality"))
    quality.add_argument("--page", type=Path, default=Path("docs/quality.md"))
    quality.add_argument("--budget", type=float, default=30.0, metavar="MINUTES", help="for each row")
    quality.add_argument(
        "--original",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also the original preset, on the same splits",
    )
    quality.add_argument("--only", action="append", default=[], metavar="SET", help="may be given again")
    quality.add_argument("--threads", type=int, default=1, help="one: then the minutes are CPU minutes")
    quality.add_argument(
        "--fix-test-parts", type=Path, metavar="JSON", help="only write which pictures each test part holds"
    )
    quality.set_defaults(run=_quality)
    return parser


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
    from training.data.folder import check

    report = check(options.folder)
    print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text())
    return 0


def _train(options: argparse.Namespace) -> int:
    from training.pipeline import Options, train_folder
    from training.progress import Bar
    from training.proof.operating_point import Costs

    bar = Bar()
    name = options.name or options.folder.stem
    train_folder(
        options.folder,
        Options(
            name=name,
            output=options.output or Path("runs") / name,
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
                options.escape_cost, options.reject_cost, options.review_cost, options.max_escape_rate
            ),
            notice=options.notice.read_text() if options.notice else "",
            start=options.start,
        ),
        test_folder=options.test,
        say=bar.say,
        progress=bar,
    )
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from training.data.folder import load
    from training.progress import Bar
    from training.proof.evaluate import evaluate, score_records, write_results

    artifact = read_artifact(options.artifact)
    records = load(options.folder)
    if options.only_test is not None:
        from training.proof.evaluate import only_test_part

        records = only_test_part(records, options.only_test)
    scores = score_records(artifact, records, threads=options.threads, progress=Bar())
    report = evaluate(artifact, records, scores)
    if options.output is not None:
        write_results(options.output, artifact, records, scores)
    if options.against is not None:
        from training.proof.live import compare

        key = options.key_file.read_text().strip() if options.key_file else None
        seen = compare(artifact, records, scores, url=options.against, key=key)
        print(
            f"{options.against}: {seen.pictures} pictures, {seen.different} answered otherwise, "
            f"scores differ by {seen.score_difference:g} at most"
        )
        if seen.different:
            return 1
    if options.json:
        print(json.dumps(report.as_card(), indent=1))
        return 0
    unscored = len(records) - report.pictures
    print(f"{report.pictures} pictures scored, {unscored} refused, {report.groups} groups")
    print(f"accuracy {report.accuracy}; by groups {report.accuracy_by_groups}")
    print(f"escapes {report.escapes} of {report.defects}: {report.escape_rate}")
    print(f"false rejects {report.false_rejects}: {report.false_reject_rate}")
    print(f"review {report.reviewed}; AUROC {report.auroc:.4f}; ECE {report.ece:.4f}")
    return 0


def _publish(options: argparse.Namespace) -> int:
    from training.output.publish import publish

    key = options.key or (options.key_file.read_text().strip() if options.key_file else None)
    print(publish(options.artifact, url=options.url, key=key, activate=options.activate))
    return 0


def _quality(options: argparse.Namespace) -> int:
    from training.proof.quality import quality, test_parts

    if options.fix_test_parts is not None:
        test_parts(options.data, options.runs, options.fix_test_parts)
        return 0
    quality(
        options.data,
        options.runs,
        options.page,
        budget=options.budget,
        original=options.original,
        only=options.only,
        threads=options.threads,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
