"""The command line of `python -m training`."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

Run = Callable[[argparse.Namespace], int]


def parser_for(description: str | None, runs: Mapping[str, Run]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    render = commands.add_parser("render", help="draw a set of made-up parts with known flaws")
    render.add_argument("folder", type=Path)
    render.add_argument("--count", type=int, default=2000)
    render.add_argument("--seed", type=int, default=0)
    render.add_argument("--size", type=int, default=300, help="side in pixels")
    render.add_argument("--defect-share", type=float, default=0.5)
    render.add_argument("--masks", action="store_true", help="also write the flawed pixels of each image")
    render.set_defaults(run=runs["render"])

    check = commands.add_parser("check", help="look at a folder: unreadable files, duplicates, leaks")
    check.add_argument("folder", type=Path)
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=runs["check"])

    train = commands.add_parser("train", help="train on any folder of defect and good images")
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
    train.add_argument("--side", type=int, help="bring large images to this side instead of the recipe's")
    train.add_argument("--speed", type=float, metavar="M", help="at most M million multiply-adds an image")
    train.add_argument("--mirrors", type=int, choices=[1, 2, 4], help="mirrored copies to average at serving")
    train.add_argument(
        "--full-scale", type=int, help="the value that means white in images of more than 8 bits"
    )
    train.add_argument("--escape-cost", type=float, default=1.0)
    train.add_argument("--reject-cost", type=float, default=1.0)
    train.add_argument("--review-cost", type=float, default=0.2)
    train.add_argument("--max-escape-rate", type=float, help="a target instead of a cost, 0 to 1")
    train.add_argument("--notice", type=Path, help="a licence text that must travel with the weights")
    train.set_defaults(run=runs["train"])

    guard = commands.add_parser("guard", help="give an artifact a guard, from the folder it was trained on")
    guard.add_argument("artifact", type=Path)
    guard.add_argument("folder", type=Path)
    guard.add_argument("--test", type=Path, metavar="FOLDER", help="as it was given to train")
    guard.add_argument("--output", type=Path, required=True, help="folder for the artifact and its CARD.md")
    guard.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1))
    guard.set_defaults(run=runs["guard"])

    evaluate = commands.add_parser("evaluate", help="score a folder with an artifact, as the service would")
    evaluate.add_argument("artifact", type=Path)
    evaluate.add_argument("folder", type=Path)
    evaluate.add_argument("--output", type=Path, help="write a verdict for each image to this CSV")
    evaluate.add_argument(
        "--only-test", type=Path, metavar="RUN", help="only the test part of this run folder"
    )
    evaluate.add_argument(
        "--against", metavar="URL", help="also ask this running service, and compare one by one"
    )
    evaluate.add_argument("--key-file", type=Path, help="its key: for an embedded service DATA_DIR/admin-key")
    evaluate.add_argument("--threads", type=int, default=1)
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(run=runs["evaluate"])

    publish = commands.add_parser("publish", help="put an artifact into a running service")
    publish.add_argument("artifact", type=Path, help="a .gonogo file or a run folder")
    publish.add_argument("--url", default="http://127.0.0.1:8000")
    publish.add_argument("--key", help="an API key; or --key-file")
    publish.add_argument("--key-file", type=Path, help="for an embedded service: DATA_DIR/admin-key")
    publish.add_argument("--activate", action="store_true", help="let new batches use it")
    publish.set_defaults(run=runs["publish"])

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
        "--fix-test-parts", type=Path, metavar="JSON", help="only write which images each test part holds"
    )
    quality.add_argument(
        "--guard", action="store_true", help="only measure the guard's tables, and train nothing"
    )
    quality.add_argument("--guard-images", type=int, default=200, metavar="N", help="at most N in each row")
    quality.set_defaults(run=runs["quality"])
    return parser
