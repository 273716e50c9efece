"""VGG with a light top: two dense layers' work is done by one, which reads the pooled maps.

torchvision's VGG spends 103 of its 144 million weights on one layer that reads all 7 x 7 places of the last maps, for
pictures of 224 pixels. Here the layer reads the mean and the maximum of each map, at any size of the picture: 24
million weights in all, 48 MB in float16. `features`, the convolutions, are torchvision's own. Not here: what trained
them (`indexer.pretraining`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import VGG

from recommender.errors import ModelError

LAYER = "pooled"
"""What `EmbeddingSpace.layer` says of embeddings that come from here."""
WIDTH = 4096
"""Numbers of an embedding: as many as the layer has that it stands for."""


class MeanAndMaximum(nn.Module):
    """The mean and the maximum of every map, side by side: (n, c, h, w) to (n, 2c)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pool maps of any size."""
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)


def exchange_top(model: nn.Module) -> None:
    """Exchange the dense layers of a VGG for one that reads pooled maps; its output is the embedding.

    Raises ModelError for any other network.
    """
    if not isinstance(model, VGG):
        raise ModelError(f"only a VGG can have a layer {LAYER!r}: the model was not made by Sokkuri")
    channels = next(layer.out_channels for layer in reversed(model.features) if isinstance(layer, nn.Conv2d))
    model.avgpool = MeanAndMaximum()
    model.classifier = nn.Sequential(nn.Linear(2 * channels, WIDTH), nn.ReLU(inplace=True))
