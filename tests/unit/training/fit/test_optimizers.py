"""Muon moves the convolutions between maps, AdamW the rest; the original preset has Adam alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from shared.vision.net import Shape, build
from training.fit.optimizers import Optimizers
from training.fit.recipe import Plan

SHAPE = Shape("residual", 16, 16, 1, (8, 16), (1, 1), stem_stride=1)
PLAN = Plan(epochs=3, batch=16, learning_rate=1e-2, weight_decay=0.0, patience=3, optimizer="muon")
SCALER = torch.amp.GradScaler("cpu", enabled=False)


def net() -> nn.Module:
    torch.manual_seed(0)
    return build(SHAPE).to(memory_format=torch.channels_last).train()


def stepped(plan: Plan) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], Optimizers]:
    """The weights before and after a step, by name."""
    moved = net()
    before = {name: value.detach().clone() for name, value in moved.named_parameters()}
    optimizers = Optimizers([moved], plan)
    images = torch.randint(0, 255, (8, 16, 16, 1), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    optimizers.step(moved(images)[0].square().sum(), SCALER)
    return before, dict(moved.named_parameters()), optimizers


def test_each_weight_moves_and_the_matrices_are_those_of_the_network() -> None:
    before, after, optimizers = stepped(PLAN)
    # Blocks begin as their shortcut alone, so nothing reaches their convolutions at the first step.
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still <= {name for name in before if ".first" in name or ".second" in name}
    for weight, matrix in zip(optimizers.weights, optimizers.matrices, strict=True):
        assert matrix.data_ptr() == weight.data_ptr()
        assert torch.equal(weight.permute(0, 2, 3, 1).flatten(1), matrix)


def test_muon_takes_convolutions_between_maps_and_makes_their_step_equally_long_in_all_directions() -> None:
    before, after, optimizers = stepped(PLAN)
    taken = {name for name, value in after.items() if any(value is weight for weight in optimizers.weights)}
    assert taken == {name for name in after if name.startswith("stages.") and after[name].ndim == 4}
    step = (after["stages.1.around.1.weight"] - before["stages.1.around.1.weight"]).flatten(1)
    lengths = torch.linalg.svdvals(step)
    assert lengths.max() / lengths.min() < 3


def test_a_network_whose_channels_do_not_lie_last_is_refused() -> None:
    with pytest.raises(RuntimeError, match="view"):
        Optimizers([build(SHAPE)], PLAN)


def test_the_original_preset_has_adam_alone() -> None:
    _, _, optimizers = stepped(replace(PLAN, optimizer="adam"))
    assert optimizers.weights == optimizers.matrices == []


def test_no_rate_moves_nothing() -> None:
    moved = net()
    before = [value.detach().clone() for value in moved.parameters()]
    optimizers = Optimizers([moved], PLAN)
    optimizers.set_rate(0.0)
    optimizers.step(moved(torch.zeros(4, 16, 16, 1, dtype=torch.uint8))[0].sum(), SCALER)
    assert all(torch.equal(one, other) for one, other in zip(before, moved.parameters(), strict=True))
