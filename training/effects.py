"""Options that would have no effect on a training: they are refused before it begins, for a person relies on them."""

from dataclasses import fields

from training.data.records import DataError
from training.options import Options
from training.proof.operating_point import Costs

NEEDS_FEATURES = ("cascade", "features", "mean")


def refuse_idle(options: Options) -> None:
    """Raise DataError for a choice that has no effect on any training without another one."""
    if options.costs.max_escape_rate is None and options.costs.confidence != Costs().confidence:
        raise DataError("--confidence is that of --max-escape-rate: give both, or leave it out")
    if options.preset == "original":
        refuse_for_original(options)


def refuse_seen(options: Options) -> None:
    """Raise DataError for choices by which a network may learn the parts that choose the bound of a promise."""
    if options.costs.max_escape_rate is None:
        return
    unseen = "--max-escape-rate is proven on parts that the training does not see"
    if options.split == "random":
        raise DataError(f"{unseen}, and --split random puts images of one part on both sides: leave it out")
    named = _unused(options, "go_on", "unlabelled") + ["--start"] * (options.start not in ("auto", "none"))
    if named:
        words = ", ".join(named)
        raise DataError(f"{unseen}, and nothing tells which parts come with {words}: leave out {words}")


def refuse_for_original(options: Options) -> None:
    """Raise DataError for choices that the original preset, whose network and threshold are fixed, can't follow."""
    unused = _unused(options, "costs", "unlabelled", "serve", "images_per_second", "side", "speed", "mirrors")
    if unused:
        raise DataError(f"--preset original has a fixed network and threshold: leave out {', '.join(unused)}")


def refuse_for_good_parts(options: Options, defects: int) -> None:
    """Raise DataError for choices that a training on good parts alone can't follow."""
    unused = _unused(options, "costs", "unlabelled", "serve", "images_per_second", "split")
    unused += ["--device"] * (options.device == "cuda")
    if unused:
        raise DataError(
            f"so few defects ({defects}) are not learned, and good parts alone give scores that are no "
            f"probabilities: leave out {', '.join(unused)}"
        )


def _unused(options: Options, *names: str) -> list[str]:
    """The command line's words for those of the named options that a person changed."""
    default = {each.name: each.default for each in fields(Options)}
    changed = []
    for name in names:
        if name == "costs":
            changed += _costs(options.costs)
        elif getattr(options, name) != default[name]:
            changed.append("--" + name.replace("_", "-"))
    return changed


def _costs(costs: Costs) -> list[str]:
    usual = Costs()
    words = {"escape": "--escape-cost", "reject": "--reject-cost", "review": "--review-cost"}
    words |= {"max_escape_rate": "--max-escape-rate", "prevalence": "--prevalence"}
    return [word for name, word in words.items() if getattr(costs, name) != getattr(usual, name)]
