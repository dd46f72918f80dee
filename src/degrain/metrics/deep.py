"""How far restored images are from clean ones in what a pretrained network sees of them.

These are no LPIPS and no FID: another network, and nothing fitted to people's judgements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from degrain.features import Backbone, feature_distance, require_role
from degrain.metrics.fidelity import check_shapes
from degrain.metrics.frechet import Moments, gaussian_frechet

# Whose distribution is compared: block 3 of EfficientNet-Lite2, 24 channels at a quarter of the size.
POOLED_LAYER = 2


class DeepDistances(NamedTuple):
    """What `deep_distances` measures; both are 0 for identical images.

    feature_distance : how different the images look, pair by pair: squared difference of features, in [0, 4].
    frechet_distance : how different the patches of all restored images are from those of all clean ones,
        taken together: whether they look like photographs, rather than like the right ones.
    """

    feature_distance: float
    frechet_distance: float


def deep_distances(
    restored: Iterable[NDArray[np.floating]],
    clean: Iterable[NDArray[np.floating]],
    *,
    data_range: float,
    judge: Backbone,
) -> DeepDistances:
    """Deep feature distance and Frechet distance of patches.

    Feature distance: see `degrain.features.feature_distance`; the mean over the images. Frechet distance:
    between the Gaussians of one layer's features at all positions of all images.

    Parameters
    ----------
    restored, clean : as many images, each pair (H, W, C) of one shape with C 1 or 3 and at least 16 pixels
        high and wide, black at 0. Values outside of the range are clamped.
    data_range : white.
    judge : `load_backbone("judge")`, never the network of the loss.

    Raises
    ------
    ValueError : the network is the loss's, an image is too small, or the images are not in pairs.
    """
    require_role(judge, "judge")
    apart, (mine, theirs) = [], (Moments(), Moments())
    for one, other in zip(restored, clean, strict=True):
        check_shapes(one, other)
        seen, wanted = (_features(image, data_range, judge) for image in (one, other))
        apart.append(float(feature_distance(seen, wanted)))
        mine.add(_positions(seen[POOLED_LAYER]))
        theirs.add(_positions(wanted[POOLED_LAYER]))
    return DeepDistances(float(np.mean(apart)), gaussian_frechet(mine.gaussian(), theirs.gaussian()))


@torch.inference_mode()
def _features(image: NDArray[np.floating], data_range: float, judge: Backbone) -> list[Tensor]:
    shown = torch.from_numpy(np.clip(image / data_range, 0, 1).astype(np.float32).transpose(2, 0, 1)[None])
    layers: list[Tensor] = judge(shown)
    return layers


def _positions(features: Tensor) -> NDArray[np.float32]:
    """(1, K, h, w) to (h w, K)."""
    vectors: NDArray[np.float32] = features[0].flatten(1).T.numpy()
    return vectors
