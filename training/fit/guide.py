"""The extra loss of sets that carry masks."""

from torch import Tensor, nn
from torch.nn import functional as F

from shared.vision.net import Shape


class Guide(nn.Module):
    """The loss of pointing at the flaw, place by place, on the map before the network's last stage."""

    def __init__(self, net: nn.Module, shape: Shape) -> None:
        super().__init__()
        self.net = [net]  # in a list, so that its weights are not counted as this module's
        self.point = nn.Conv2d(shape.widths[-2], 1, 1)
        nn.init.constant_(self.point.bias, -3.0)  # type: ignore[arg-type]

    def forward(self, masks: Tensor) -> Tensor:
        """masks (N, 1, H, W), 0 to 255; a place is flawed when more than a few of its pixels are."""
        seen = self.point(self.net[0].guided.float())
        flawed = (F.adaptive_avg_pool2d(masks / 255, (int(seen.shape[2]), int(seen.shape[3]))) > 0.04).float()
        weight = 1 + 4 * flawed
        return (F.binary_cross_entropy_with_logits(seen, flawed, reduction="none") * weight).mean() * 4
