"""A card as one row of the quality page."""

from shared.json_text import Card


def row_of(card: Card) -> Card:
    test = card["test"]
    return {
        "pictures": card["data"]["images"],
        "split": card["data"]["split"],
        "test": test["pictures"],
        "groups": test["groups"],
        "test_sha256": card["data"]["test_sha256"],
        "scorings": card["data"]["test_scorings"],
        "minutes": card["training"]["seconds"] / 60,
        "cpu_minutes": card["training"]["cpu_seconds"] / 60,
        "stop_reason": card["training"]["stop_reason"],
        "size": f"{card['preprocessing']['width']}x{card['preprocessing']['height']}",
        "images_per_second": card["speed"]["images_per_second"],
        "accuracy": test["accuracy"],
        "accuracy_by_groups": test["accuracy_by_groups"],
        "escapes": f"{test['escapes']}/{test['defects']}",
        "false_rejects": f"{test['false_rejects']}/{test['pictures'] - test['defects']}",
        "auroc": test["auroc"],
        "ece": test["ece"],
        "histogram": card["baselines"]["histogram"],
    }
