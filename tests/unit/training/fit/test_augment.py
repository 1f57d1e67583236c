import numpy as np
import torch

from training.fit.augment import Augmentation, Liberties, Mirrors, Shade, liberties

ALL = Liberties(True, True, True, True)


def test_an_upside_down_scene_may_not_be_mirrored_upright() -> None:
    ramp = np.linspace(0, 255, 80)[:, None].repeat(80, 1)
    images = np.clip(ramp + np.random.default_rng(0).normal(0, 20, (50, 80, 80)), 0, 255).astype(np.uint8)[
        ..., None
    ]
    freedom = liberties(images)
    assert freedom.mirror_sideways
    assert not (freedom.mirror_upright or freedom.quarter_turns or freedom.any_turn)


def test_a_round_part_may_be_turned_any_way() -> None:
    rows, columns = np.indices((80, 80)) - 39.5
    disc = np.where(np.hypot(rows, columns) < 30, 200, 40).astype(np.uint8)
    freedom = liberties(np.repeat(disc[None, ..., None], 5, 0))
    assert freedom == Liberties(True, True, True, True)


def test_a_texture_without_a_scene_may_be_turned_any_way() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2000, 64, 64, 1)).astype(np.uint8)
    assert liberties(noise).any_turn


def test_an_image_that_is_not_square_is_never_turned_aside() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (500, 40, 24, 1)).astype(np.uint8)
    freedom = liberties(noise)
    assert not (freedom.quarter_turns or freedom.any_turn)


def test_mirrors_move_pixels_and_change_none() -> None:
    torch.manual_seed(0)
    batch = torch.rand(32, 1, 9, 9)
    moved = Mirrors(True, True, True)(batch)
    assert torch.equal(batch.flatten(1).sort(1).values, moved.flatten(1).sort(1).values)
    assert not torch.equal(batch, moved)


def test_a_mask_moves_with_its_image() -> None:
    torch.manual_seed(0)
    images = torch.zeros(64, 1, 64, 64)
    images[:, :, 20:26, 40:46] = 255
    pictures, masks = Augmentation(ALL)(images, images.clone())
    assert masks is not None
    brightest, marked = pictures.flatten(1).argmax(1), masks.flatten(1) > 100
    assert marked[torch.arange(64), brightest].float().mean() > 0.95


def test_shape_and_range_stay() -> None:
    torch.manual_seed(0)
    batch = torch.rand(8, 3, 40, 24) * 255
    changed, masks = Augmentation(Liberties(True, True, False, False))(batch)
    assert masks is None
    assert changed.shape == batch.shape
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 255


def test_the_same_seed_gives_the_same_images() -> None:
    def once() -> torch.Tensor:
        torch.manual_seed(5)
        return Augmentation(ALL)(torch.ones(4, 1, 64, 64) * 90)[0]

    assert torch.equal(once(), once())


def test_where_few_parts_are_shown_their_light_is_disturbed_more_strongly() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 80, 80, 1)).astype(np.uint8)
    few, many = liberties(noise, few_parts=True), liberties(noise)
    assert few.shade > many.shade == 0
    assert few.light > many.light and few.zoom > many.zoom
    torch.manual_seed(0)
    flat = torch.full((16, 1, 64, 64), 120.0)
    lit = Shade(few.shade)(flat)
    assert float(lit.std((2, 3)).mean()) > 5  # another brightness in another place
    step = (lit[..., 1:] - lit[..., :-1]).abs().max()
    assert float(step) < 20  # and no edge that could be taken for a flaw
