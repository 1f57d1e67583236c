"""The sets that the quality page knows, and where each is found."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from training.data.elpv import PACKAGE, write_elpv
from training.synthetic.render import render

RENDERED = (8000, 11), (2000, 12)  # images and seed of the train and of the test set

GOOD_ALONE = {"casting_product": 3, "rendered": 1}  # folds of sets whose good parts are also learned alone


@dataclass(frozen=True)
class Protocol:
    """A row of the table: its data, its split, and the figures that others have published for it."""

    name: str
    folder: str
    split: str  # grouped, random or folds
    published: str
    before: str  # accuracy of the recipe before pretrained features and the second preprocessing
    model: str = ""  # the name of its artifact where that is shipped


PROTOCOLS = (
    Protocol(
        "solar",
        "infrared_solar_modules",
        "grouped",
        "CNNs 92.1–95.0 % (random splits)",
        "94.04%",
        "solar-modules",
    ),
    Protocol(
        "casting, random", "casting_product", "random", "CNNs 99.6–99.7 % (on a split that leaks)", "100.00%"
    ),
    Protocol("casting, unseen parts", "casting_product", "folds", "none seen", "91.24%"),
    Protocol("elpv", "elpv", "grouped", "88–90 %", "89.85%"),
    Protocol("rendered parts", "rendered", "grouped", "own set", "98.05%"),
)


def present(name: str, data: Path, runs: Path) -> Path | None:
    if name == "elpv":
        return write_elpv(runs / "elpv") if find_spec(PACKAGE) else None
    if name == "rendered":
        folders = runs / "rendered", runs / "rendered-test"
        for folder, (count, seed) in zip(folders, RENDERED, strict=True):
            if not (folder / "images.csv").exists():
                render(folder, count=count, seed=seed, masks=folder is folders[0])
        return folders[0]
    return data / name if (data / name / "images.csv").exists() else None


def slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")
