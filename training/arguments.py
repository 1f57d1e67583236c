"""The command line of `python -m training`."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

Run = Callable[[argparse.Namespace], int]
Fill = Callable[[argparse.ArgumentParser], None]
Add = Callable[..., argparse.Action]
_FULL_SCALE = "the value that means white in images of more than 8 bits"


def parser_for(description: str | None, runs: Mapping[str, Run]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (help, fill) in _COMMANDS.items():
        command = commands.add_parser(name, help=help)
        fill(command)
        command.set_defaults(run=runs[name])
    return parser


def _render(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path)
    command.add_argument("--count", type=int, default=2000)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--size", type=int, default=300, help="side in pixels")
    command.add_argument("--defect-share", type=float, default=0.5)
    command.add_argument("--masks", action="store_true", help="also write the flawed pixels of each image")


def _check(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path)
    _add_words(command.add_argument)
    command.add_argument("--full-scale", type=_count, help=_FULL_SCALE)
    command.add_argument("--json", action="store_true")


def _train(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="folders such as defect/ and good/ below it, or a CSV with file, label, group",
    )
    _add_images(command.add_argument_group("images").add_argument)
    _add_run(command.add_argument_group("the training").add_argument)
    _add_network(command.add_argument_group("the network").add_argument)
    _add_costs(command.add_argument_group("the verdict").add_argument)


def _add_images(add: Add) -> None:
    _add_words(add)
    add(
        "--from-reviews",
        metavar="WHERE",
        help="train on the images that persons reviewed, and on the folder if there is one: a service's URL, or a zip "
        "of `gonogo review export`",
    )
    add("--key-file", type=Path, help="the key of that service: DATA_DIR/admin-key")
    add(
        "--split",
        choices=["auto", "grouped", "random", "given"],
        default="auto",
        help="how the parts are made; by default as the data gives them, else by whole groups",
    )
    add("--test", type=Path, metavar="FOLDER", help="another folder that is the test part")
    add("--unlabelled", type=Path, metavar="FOLDER", help="images without labels, which the teacher labels")
    add("--full-scale", type=_count, help=_FULL_SCALE)


def _add_run(add: Add) -> None:
    add("--output", type=Path, help="run folder; runs/NAME by default")
    add("--name", help="of the model; the folder's name by default")
    add(
        "--budget",
        type=_above_0,
        metavar="MINUTES",
        help="for the training alone, the look at the images and the proof of the model come on top; 30 by default, a "
        "day for the original preset, which ends by its own patience",
    )
    add(
        "--preset",
        choices=["recipe", "original"],
        default="recipe",
        help="original: as the first version trained",
    )
    add("--seed", type=int, default=0, help="of all chance; 0 by default")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="by default a GPU that is there")
    add("--threads", type=_count, default=min(8, os.cpu_count() or 1), help="cores to work on")
    add("--notice", type=Path, help="a licence text that must travel with the weights")


def _add_network(add: Add) -> None:
    add(
        "--start",
        default="auto",
        metavar="ARTIFACT",
        help="begin with these weights; by default with rendered-parts where the network is the same, or `none`",
    )
    add(
        "--go-on",
        type=Path,
        metavar="ARTIFACT",
        help="begin with all weights of this artifact of the same task, and take smaller steps",
    )
    add(
        "--teacher",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let a pretrained network teach the small one",
    )
    add(
        "--serve",
        choices=["auto", "small", "cascade", "features", "mean"],
        default="auto",
        help="the network that judges: the small one, the pretrained features, their mean, or a cascade that takes the "
        "mean where the small one is unsure; by default the best",
    )
    add(
        "--images-per-second",
        type=_above_0,
        metavar="N",
        help="serve no network that judges fewer images a second on one core, decoding left out",
    )
    add("--side", type=_count, help="bring large images to this side instead of the recipe's")
    add("--speed", type=_above_0, metavar="M", help="at most M million multiply-adds an image")
    add("--mirrors", type=int, choices=[1, 2, 4], help="mirrored copies to average at serving")


def _add_costs(add: Add) -> None:
    add("--escape-cost", type=float, default=10.0, help="an escape costs this many (10)")
    add("--reject-cost", type=float, default=1.0, help="a false reject costs this many (1)")
    add("--review-cost", type=float, default=0.2, help="a look by a person costs this many (0.2)")
    add("--max-escape-rate", type=_share, metavar="SHARE", help="a promise such as 1%%, beside the costs")
    add("--confidence", type=_share, default=0.95, metavar="SHARE", help="of that promise; 95%%")
    add(
        "--prevalence",
        type=_share,
        metavar="SHARE",
        help="of defects among the parts to be judged, where it is another than in the folder",
    )


def _guard(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path)
    command.add_argument("folder", type=Path)
    _add_words(command.add_argument)
    command.add_argument("--test", type=Path, metavar="FOLDER", help="as it was given to train")
    instead = {
        "kinds": "add the guess of a defect's kind instead, and keep the guard",
        "reference": "add the reference for drift instead, and keep the guard",
        "point": "choose threshold and review band again instead, by the usual costs, and keep the guard",
    }
    for name, help in instead.items():
        command.add_argument(
            f"--{name}", action="store_const", dest="add", const=name, default="guard", help=help
        )
    command.add_argument("--output", type=Path, required=True, help="folder for the artifact and its CARD.md")
    command.add_argument("--threads", type=_count, default=min(8, os.cpu_count() or 1))


def _hasten(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path)
    command.add_argument("folder", type=Path, help="the one it was trained on")
    command.add_argument("--output", type=Path, required=True, help="folder for the artifact and its card")
    command.add_argument("--threads", type=_count, default=min(8, os.cpu_count() or 1))


def _evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path)
    command.add_argument("folder", type=Path)
    _add_words(command.add_argument)
    command.add_argument("--output", type=Path, help="write a verdict for each image to this CSV")
    command.add_argument(
        "--only-test", type=Path, metavar="RUN", help="only the test part of this run folder"
    )
    command.add_argument(
        "--against", metavar="URL", help="also ask this running service, and compare one by one"
    )
    command.add_argument("--key-file", type=Path, help="its key: for an embedded service DATA_DIR/admin-key")
    command.add_argument("--threads", type=_count, default=1)
    command.add_argument("--json", action="store_true")


def _publish(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="a .gonogo file or a run folder")
    command.add_argument("--url", default="http://127.0.0.1:8000")
    command.add_argument("--key", help="an API key; or --key-file")
    command.add_argument("--key-file", type=Path, help="for an embedded service: DATA_DIR/admin-key")
    command.add_argument("--activate", action="store_true", help="let new batches use it")


def _quality(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, default=Path("../data"), help="folders with an images.csv each")
    command.add_argument("--runs", type=Path, default=Path("runs/quality"))
    command.add_argument("--page", type=Path, default=Path("docs/quality.md"))
    command.add_argument("--budget", type=_above_0, default=30.0, metavar="MINUTES", help="for each training")
    command.add_argument(
        "--original",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also the original preset, on the same splits",
    )
    command.add_argument("--only", action="append", default=[], metavar="SET", help="may be given again")
    command.add_argument("--threads", type=_count, default=1, help="one: then the minutes are CPU minutes")
    command.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="rows at a time")
    command.add_argument(
        "--fix-test-parts", type=Path, metavar="JSON", help="only write which images each test part holds"
    )
    command.add_argument(
        "--guard", action="store_true", help="only measure the guard's tables, and train nothing"
    )
    command.add_argument(
        "--few",
        action="store_true",
        help="only measure few images and good ones alone",
    )
    command.add_argument(
        "--heatmaps",
        type=int,
        default=0,
        metavar="N",
        help="only point at N rendered flaws by their heatmaps",
    )
    command.add_argument(
        "--drift", type=int, default=0, metavar="N", help="only look for drift in N rendered images"
    )
    command.add_argument("--guard-images", type=int, default=200, metavar="N", help="at most N in each row")


_COMMANDS: dict[str, tuple[str, Fill]] = {
    "render": ("draw a set of made-up parts with known flaws", _render),
    "check": ("look at a folder: unreadable files, duplicates, leaks", _check),
    "train": ("train on any folder of defect and good images", _train),
    "guard": ("give an artifact a guard, from the folder it was trained on", _guard),
    "hasten": ("average mirrored copies of unsure images only", _hasten),
    "evaluate": ("score a folder with an artifact, as the service would", _evaluate),
    "publish": ("put an artifact into a running service", _publish),
    "quality": ("train and measure on every set that is present", _quality),
}


def _share(text: str) -> float:
    """`1%` or `0.01`."""
    number = text.strip().removesuffix("%")
    try:
        return float(number) / 100 if number != text.strip() else float(number)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a share such as 1% or 0.01 is needed, not {text!r}") from error


def _above_0(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, not {text!r}")
    return number


def _count(text: str) -> int:
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"a whole number of 1 or more is needed, not {text!r}")
    return number


def _add_words(add: Add) -> None:
    """Options that say what the names of folders mean."""
    for label in ("good", "defect"):
        add(
            f"--{label}",
            action="extend",
            nargs="+",
            default=[],
            metavar="NAME",
            help=f"folders or words of a table that mean {label}, besides the usual ones; * stands for any letters",
        )
    add(
        "--part",
        metavar="REGEX",
        help="a part's name in the path of its images: the first group of this expression",
    )
