"""From a trained network to the graph that serves."""

import io
import warnings

import torch
from torch import nn

from shared.vision.graph import INPUT, OUTPUTS, STRONG
from shared.vision.net import Shape

OPSET = 17


def onnx_bytes(net: nn.Module, shape: Shape) -> bytes:
    """The ONNX graph of a network on the CPU: uint8 images in, any number at a time; batch norms folded."""
    net = net.eval()
    outputs = [*OUTPUTS, STRONG] if shape.is_cascade else [*OUTPUTS]
    example = torch.zeros(2, shape.height, shape.width, shape.channels, dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The newer exporter needs two more packages and gives the same graph for these networks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (example,),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=outputs,
            dynamic_axes={name: {0: "n"} for name in (INPUT, *outputs)},
        )
    return buffer.getvalue()
