"""Any folder as records, what is wrong with it, and splits that hold together what is the same."""

import csv
import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.registry.artifact import Preprocessing
from training.data.check import check
from training.data.elpv import write_elpv
from training.data.likeness import Groups, alike, take_print
from training.data.load import load
from training.data.pixels import decode_files
from training.data.records import DataError, Record
from training.data.splits import given_split, grouped_folds, grouped_split, part_hash, random_split


def picture(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Soft random hills: no two seeds are alike."""
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 9), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def put(path: Path, image: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def table(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "images.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in range(12):
        put(tmp_path / ("defect" if place % 3 == 0 else "no_defect") / f"{place}.png", picture(place))
    return tmp_path


@pytest.mark.parametrize(
    ("bad", "good"),
    [("defect", "no_defect"), ("Positive", "Negative"), ("def_front", "ok_front"), ("1", "0")],
)
def test_known_folder_names_are_labels(tmp_path: Path, bad: str, good: str) -> None:
    put(tmp_path / bad / "a.jpg", picture(1))
    put(tmp_path / good / "b.JPG", picture(2), format="JPEG")
    assert {r.path.name: r.label for r in load(tmp_path)} == {"a.jpg": 1, "b.JPG": 0}


def test_folders_above_the_label_name_the_split_and_numbers_below_it_mean_nothing(tmp_path: Path) -> None:
    put(tmp_path / "train" / "ok_front" / "1" / "a.png", picture(1))
    put(tmp_path / "test" / "def_front" / "b.png", picture(2))
    assert {(r.label, r.split) for r in load(tmp_path)} == {(0, "train"), (1, "test")}


def test_a_table_names_label_group_and_split(tmp_path: Path) -> None:
    table(tmp_path, [{"file": "a.png", "label": "defect", "group": "p1", "split": "train"}])
    assert load(tmp_path) == load(tmp_path / "images.csv") == [Record(tmp_path / "a.png", 1, "p1", "train")]


def test_what_is_no_set_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no images"):
        load(tmp_path)
    table(tmp_path, [{"file": "a.png", "label": "perhaps"}])
    with pytest.raises(DataError, match="line 2"):
        load(tmp_path)


def test_one_label_only_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "defect" / "a.png", picture(1))
    with pytest.raises(DataError, match="one label"):
        check(tmp_path)


def test_a_sound_folder_has_no_findings(folder: Path) -> None:
    report = check(folder)
    entry = report.as_json()
    assert (entry["images"], entry["defect"], entry["no_defect"], entry["groups"]) == (12, 4, 8, 12)
    assert entry["exact_duplicates"] == entry["near_duplicates"] == entry["leaks_between_splits"] == 0
    assert set(entry["counts"].values()) == {0}
    assert json.loads(json.dumps(entry)) == entry
    assert all(r.identity == hashlib.sha256(r.path.read_bytes()).hexdigest() for r in report.records)


def test_broken_odd_and_unlabelled_images_are_named(folder: Path) -> None:
    whole = (folder / "defect" / "0.png").read_bytes()
    (folder / "defect" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "defect" / "text.jpg").write_text("no image")
    put(folder / "elsewhere" / "stray.png", picture(50))
    put(folder / "no_defect" / "large.png", picture(51, (200, 200)))
    report = check(folder)
    assert report.unreadable == ["defect/cut.png", "defect/text.jpg"]
    assert report.ignored == ["elsewhere/stray.png"]
    assert report.odd == ["no_defect/large.png"]
    assert len(report.records) == 13
    assert "unreadable, left out: 2 (defect/cut.png; defect/text.jpg)" in report.as_text()


@pytest.mark.parametrize("kind", ["GIF", "PPM", "ICO", "TGA"])
def test_a_kind_of_image_that_the_service_refuses_is_left_out_and_named(folder: Path, kind: str) -> None:
    put(folder / "defect" / "other.png", picture(60), format=kind)
    report = check(folder)
    assert report.unreadable == ["defect/other.png"]
    decode_files([record.path for record in report.records], Preprocessing(24, 24, 1))


def test_an_image_that_cannot_be_decoded_ends_with_its_name(folder: Path) -> None:
    put(folder / "defect" / "other.png", picture(60), format="GIF")
    with pytest.raises(DataError, match=r"defect/other\.png: .*GIF"):
        decode_files([folder / "defect" / "other.png"], Preprocessing(24, 24, 1))


def test_a_small_broken_image_is_found_though_it_needs_no_print(folder: Path) -> None:
    put(folder / "defect" / "tiny.jpg", picture(7, (24, 40)), quality=95)
    data = (folder / "defect" / "tiny.jpg").read_bytes()
    (folder / "defect" / "tiny.jpg").write_bytes(data[: len(data) // 2])
    assert check(folder).unreadable == ["defect/tiny.jpg"]


def test_bytes_that_the_table_does_not_name_are_reported(folder: Path) -> None:
    files = sorted(folder.rglob("*.png"))
    rows = [
        {
            "file": str(path.relative_to(folder)),
            "label": path.parent.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    ]
    table(folder, rows)
    put(files[0], picture(99))
    assert check(folder).changed == [rows[0]["file"]]


def test_one_image_with_both_labels_is_left_out_and_said(folder: Path) -> None:
    put(folder / "no_defect" / "again.png", picture(0))
    report = check(folder)
    assert report.contradictions == [["defect/0.png", "no_defect/again.png"]]
    assert len(report.records) == 11


def test_the_same_bytes_on_both_sides_of_a_given_split_are_a_leak(tmp_path: Path) -> None:
    for place in range(8):
        label = "defect" if place % 2 else "no_defect"
        put(tmp_path / ("train" if place < 4 else "test") / label / f"{place}.png", picture(place))
    put(tmp_path / "test" / "defect" / "copy.png", picture(1))
    report = check(tmp_path)
    assert report.exact_across_splits == 1
    assert report.leaks == [["test/defect/copy.png", "train/defect/1.png"]]
    assert "LEAK" in report.as_text()
    split = given_split(report.records, seed=0)
    assert split is not None
    assert {r.path.name for r in split.test} == {"4.png", "5.png", "6.png", "7.png"}


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((64, 53), Image.Resampling.LANCZOS),
        lambda image: image.point(lambda grey: grey * 0.9 + 10),
        lambda image: image.convert("RGB"),
        lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 200),
    ],
    ids=["smaller", "other light", "colour", "16 bits"],
)
def test_a_changed_copy_shares_the_group_of_its_original(folder: Path, change: Any) -> None:
    put(folder / "defect" / "copy.png", change(picture(3)))
    report = check(folder, full_scale=65_535)
    groups = {r.path.name: r.group for r in report.records}
    assert report.near_duplicates == 1
    assert groups["copy.png"] == groups["3.png"]
    assert len(set(groups.values())) == 12


def test_a_copy_in_another_format_is_found(folder: Path) -> None:
    put(folder / "no_defect" / "copy.jpg", picture(3), quality=40)
    report = check(folder)
    assert (report.near_duplicates, report.near_with_both_labels) == (1, 1)


def test_given_groups_are_kept_and_joined_by_the_same_bytes_alone(tmp_path: Path) -> None:
    names = {"a.png": 1, "b.png": 2, "c.png": 1, "d.png": 3, "e.png": 4}
    for name, seed in names.items():
        put(tmp_path / name, picture(seed))
    put(tmp_path / "like.png", picture(4).point(lambda grey: grey * 0.9))
    groups = {"a.png": "p", "b.png": "q", "c.png": "r", "d.png": "r", "e.png": "s", "like.png": "t"}
    labels = {"b.png": "no_defect"}
    table(tmp_path, [{"file": f, "label": labels.get(f, "defect"), "group": g} for f, g in groups.items()])
    found = {r.path.name: r.group for r in check(tmp_path).records}
    assert found["a.png"] == found["c.png"] == found["d.png"]
    assert len(set(found.values())) == 4  # a+c+d, b, e, like


def test_blank_and_tiny_images_are_like_nothing() -> None:
    assert take_print(Image.new("L", (100, 100), 90)) is None
    assert take_print(picture(1, (24, 40))) is None
    assert take_print(Image.new("I;16", (100, 100), 5000)) is None


def test_likeness_misses_no_pair_that_a_full_comparison_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.likeness._BLOCK", 4)  # so that most pairs lie in different blocks
    prints = [np.asarray(picture(seed, (32, 32)), np.float64) for seed in range(60)]
    prints += [0.95 * prints[place] + 0.05 * prints[place + 1] for place in range(59)]
    stack = [p.astype(np.uint8) for p in prints]
    full = np.corrcoef(np.stack([p.ravel() for p in stack]))
    wanted = {(i, j) for i, j in zip(*np.nonzero(np.triu(full, 1) >= 0.998), strict=True)}
    assert {(min(i, j), max(i, j)) for i, j, _ in alike(stack)} == wanted
    assert len(wanted) >= 20


def test_a_run_of_frames_does_not_become_one_giant_group(tmp_path: Path) -> None:
    start, end = (np.asarray(picture(seed), np.float64) for seed in (1, 2))
    for place in range(140):
        frame = Image.fromarray((start + (end - start) * place / 139).astype(np.uint8))
        put(tmp_path / ("defect" if place % 2 else "no_defect") / f"{place:03}.png", frame)
    report = check(tmp_path)
    assert report.joins_refused > 0
    assert max(Counter(r.group for r in report.records).values()) <= 50
    assert "give a group column" in report.as_text()


def test_joining_is_transitive() -> None:
    groups = Groups(5)
    groups.join(3, 1)
    groups.join(3, 4)
    assert groups.root(4) == groups.root(1) != groups.root(0)
    assert not groups.join(0, 1, largest=3)


@pytest.fixture
def records() -> list[Record]:
    rng = np.random.default_rng(1)
    found = []
    for group in range(80):
        label = int(group % 4 == 0)
        for view in range(int(rng.integers(1, 9))):
            name = f"{group}-{view}.png"
            found.append(
                Record(Path(name), label, f"g{group}", None, hashlib.sha256(name.encode()).hexdigest())
            )
    return found


def test_a_grouped_split_keeps_groups_whole_and_labels_in_proportion(records: list[Record]) -> None:
    split = grouped_split(records, seed=3)
    parts = [split.train, split.validation, split.test]
    assert sorted(r.path for part in parts for r in part) == sorted(r.path for r in records)
    groups = [{r.group for r in part} for part in parts]
    assert not groups[0] & groups[1] and not groups[1] & groups[2] and not groups[0] & groups[2]
    share = np.mean([r.label for r in records])
    for part, fraction in zip(parts, (0.7, 0.15, 0.15), strict=True):
        assert abs(len(part) / len(records) - fraction) < 0.03
        assert abs(np.mean([r.label for r in part]) - share) < 0.05
    assert grouped_split(records, seed=3) == split != grouped_split(records, seed=4)


def test_folds_are_disjoint_whole_and_complete(records: list[Record]) -> None:
    folds = grouped_folds(records, 5, seed=0)
    assert sum(map(len, folds)) == len(records)
    assert sum(len({r.group for r in fold}) for fold in folds) == 80
    assert all({r.label for r in fold} == {0, 1} for fold in folds)


def test_a_random_split_disregards_groups(records: list[Record]) -> None:
    split = random_split(records, seed=0)
    assert {r.group for r in split.train} & {r.group for r in split.test}
    assert abs(len(split.test) / len(records) - 0.15) < 0.02
    assert all(r.group.startswith("g") for r in split.test)


def test_a_set_that_names_no_test_part_has_no_given_split(records: list[Record]) -> None:
    assert given_split(records, seed=0) is None


def test_the_hash_of_a_part_is_of_its_images_not_of_their_order_or_place(records: list[Record]) -> None:
    moved = [Record(Path("elsewhere") / r.path, r.label, r.group, r.split, r.identity) for r in records]
    assert part_hash(records) == part_hash(moved[::-1]) != part_hash(records[1:])


def test_solar_cells_become_a_folder_and_half_a_chance_is_a_defect(tmp_path: Path) -> None:
    source = tmp_path / "package"
    lines = []
    for place, chance in enumerate((0.0, 1 / 3, 2 / 3, 1.0)):
        put(source / "images" / f"cell{place}.png", picture(place))
        lines.append(f"images/cell{place}.png  {chance:.16f}  mono")
    (source / "labels.csv").write_text("\n".join(lines) + "\n")
    folder = write_elpv(tmp_path / "set", source=source)
    assert [record.label for record in load(folder)] == [0, 0, 1, 1]
    assert len(check(folder).records) == 4
    assert write_elpv(folder, source=tmp_path / "gone") == folder


def test_a_missing_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.elpv.PACKAGE", "elpv_dataset_that_is_not_there")
    with pytest.raises(DataError, match="pip install elpv-dataset"):
        write_elpv(tmp_path / "set")


def test_an_image_too_large_to_open_fails_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40_000)
    stream = io.BytesIO()
    Image.new("1", (400, 400)).save(stream, "PNG")
    (folder / "defect" / "bomb.png").write_bytes(stream.getvalue())
    assert check(folder).unreadable == ["defect/bomb.png"]


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_sizes_are_those_of_the_upright_images(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for place in range(4):
        name = f"{'defect' if place % 2 else 'no_defect'}/{place}.{kind}"
        put(tmp_path / name, picture(place, (300, 200)), exif=exif)
    assert check(tmp_path).sizes == {"200x300": 4}
