"""The CLI and the pages say the same about a batch: why it is blocked, its warnings, its skipped files."""

from shared.contract.notices import SKIPPED, notices


def test_a_batch_without_anything_to_notice_has_no_notices() -> None:
    assert notices({}) == notices({"blocked": None, "warnings": [], "skipped": 0}) == []


def test_skipped_files_are_counted_and_the_first_are_named_with_the_reason() -> None:
    warnings = [{"code": SKIPPED, "filename": f"{n}.txt", "detail": "not an image"} for n in range(5)]
    assert notices({"skipped": 7, "warnings": warnings}) == [
        "7 files were skipped: 0.txt (not an image), 1.txt (not an image), 2.txt (not an image), …"
    ]
    assert notices({"skipped": 1, "warnings": warnings[:1]}) == ["1 file was skipped: 0.txt (not an image)."]
    assert notices({"skipped": 2}) == ["2 files were skipped."]


def test_the_most_urgent_comes_first() -> None:
    batch = {
        "skipped": 1,
        "warnings": [
            {"code": "unlike_training", "detail": "412 of 500 images are unlike the training images."}
        ],
        "blocked": {
            "code": "no_worker",
            "detail": "no live worker serves it",
            "since": "2026-11-29T10:00:00Z",
        },
    }
    said = notices(batch)
    assert said[0] == "Blocked: no live worker serves it (no_worker, since 2026-11-29T10:00:00Z)."
    assert said[1] == "412 of 500 images are unlike the training images."
    assert len(said) == 3
