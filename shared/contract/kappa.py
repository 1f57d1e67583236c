"""How far two persons agree on the same items."""

from collections import Counter

from shared.contract.agreement import SecondOpinions


def compared(pairs: Counter[tuple[str, str]]) -> SecondOpinions:
    """The figures of pairs of opinions, each (first, second) with how many items have it."""
    total, agreed = pairs.total(), sum(count for (one, two), count in pairs.items() if one == two)
    if not total:
        return {"items": 0, "agreed": 0, "kappa": None}

    def said(place: int) -> float:
        return sum(count for pair, count in pairs.items() if pair[place] == "defect") / total

    chance = said(0) * said(1) + (1 - said(0)) * (1 - said(1))
    kappa = (agreed / total - chance) / (1 - chance) if chance < 1 else None
    return {"items": total, "agreed": agreed, "kappa": kappa}
