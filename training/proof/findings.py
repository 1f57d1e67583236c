"""The lines of a card that say where its figures hold and where to doubt them."""

import numpy as np
from numpy.typing import NDArray

from shared.contract.doubts import UNFAMILIAR_SHARE
from shared.contract.operating_point import OperatingPoint
from shared.json_text import Card
from shared.registry.artifact import Calibration
from shared.vision.graph import Graph
from training.data.records import names_of
from training.proof.calibrate import scores
from training.proof.doubts import likely_label_errors, risk_coverage, shortcuts
from training.proof.evaluate import logits_of
from training.proof.line import as_labelled
from training.proof.metrics import Report
from training.proof.robustness import CHANGES, MOST, robustness
from training.trained import Trained

_SECONDS = 20.0  # for all changes of the test part together
_LEAST = 40
_MISSED = 0.5  # of the defects: such a model finds few of them


def findings(
    trained: Trained,
    graph: Graph,
    calibration: Calibration,
    point: OperatingPoint,
    p: tuple[NDArray[np.float64], NDArray[np.float64]],
    card: Card,
) -> Card:
    """`p` are the scores of the validation and of the test part; `card` holds the figures that are known so far."""
    judged = [(trained.split.test, trained.test.labels, p[1])]
    if not trained.tests_itself:
        judged.append((trained.split.validation, trained.validation.labels, p[0]))
    names = names_of([record for records, _, _ in judged for record in records])
    labels = np.concatenate([labels for _, labels, _ in judged])
    held = np.concatenate([values for _, _, values in judged])
    prevalence, tested = trained.options.costs.prevalence, trained.test.labels
    calls = (p[1] >= point.threshold, as_labelled(p[1], tested, prevalence) >= 0.5)
    affordable = int(_SECONDS * card["speed"]["images_per_second"] / len(CHANGES))
    return {
        # The served model has learned every image where the test part is that of the folds: changed ones prove nothing.
        "robustness": None
        if trained.tests_itself
        else robustness(
            trained.test.images,
            trained.test.labels,
            lambda images: scores(logits_of(graph, images), calibration),
            point,
            most=min(MOST, max(_LEAST, affordable)),
            prevalence=prevalence,
        ),
        "risk_coverage": risk_coverage(p[1], tested, point, prevalence),
        "label_doubts": likely_label_errors(names, held, labels, prevalence),
        # These are of the test part as it is, like the baselines. At a low threshold, which calls many good parts
        # defects, a network may be right less often than a guess.
        "warnings": shortcuts(
            card["baselines"],
            max(float((call == (tested == 1)).mean()) for call in calls),
            knows_parts=trained.looked.knows_parts,
        ),
    }


def unknown_parts(trained: Trained) -> list[str]:
    """A warning where nothing tells which images show one part, with what pretrained features say of that."""
    looked = trained.looked
    names_them = "(a `group` column or --part names the parts)"
    if looked.families:
        return [
            f"the set shows parts again, so each of its {looked.families} families of like images is kept on one side "
            f"{names_them}; {looked.like_images}"
        ]
    if looked.knows_parts:
        return []
    told = "" if looked.like_images is None else f"; {looked.like_images}"
    return [
        "nothing tells which images show one part: where several do, all figures are too good for new parts, and too "
        f"few images go to review {names_them}{told}"
    ]


def failings(on_test: Report, flagged: float | None) -> list[str]:
    """Warnings where the figures of the test part are not those of the service, or show that the model finds little.

    `flagged` is the share of the test part that the guard sends to a person, None where none was left to count on.
    """
    found = []
    if not on_test.defects:
        found.append("no defect was judged: nothing tells how many of them the model lets pass")
    missed = on_test.escapes_after_review
    if missed and missed >= _MISSED * on_test.defects:
        found.append(
            f"{missed} of the {on_test.defects} defects of the test part get `no_defect` without a look"
        )
    if flagged is not None and flagged > UNFAMILIAR_SHARE:
        found.append(
            f"the guard sends {flagged:.1%} of the test part to a person, and the figures above are those of the score "
            "alone: the test part is unlike the images that were learned"
        )
    return found
