"""The pictures that hang in a gallery: small abstract paintings, made by number, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

WIDTH, HEIGHT = 128, 96


def paint(style: str, seed: int) -> np.ndarray:
    """One painting. Returns uint8 (96, 128, 3), rows from the top. Of style `anew`: the one of that number."""
    if style == "anew":
        return anew(seed)
    rng = np.random.Generator(np.random.Philox(key=seed))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    canvas = _STYLES[style](rng, x / WIDTH, y / HEIGHT)
    weave = 0.012 * np.sin(x * 1.7) * np.sin(y * 1.9)
    return np.asarray(np.clip(canvas + weave[..., None], 0, 1) * 255 + 0.5).astype(np.uint8)


def anew(number: int) -> np.ndarray:
    """One of very many paintings, by number: large plain shapes in a palette of its own. uint8 (96, 128, 3)."""
    rng = np.random.Generator(np.random.Philox(key=[number & (2**64 - 1), 77]))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    x, y = x / WIDTH, y / HEIGHT
    hue = rng.random()
    palette = [
        _hue((hue + step + rng.normal(0, 0.04)) % 1, *light)
        for step, light in zip(
            (0.0, 0.08, 0.5, 0.33, 0.62), ((0.35, 0.95), (0.75, 0.55), (0.8, 0.9), (0.5, 0.3), (0.9, 0.85)), strict=True
        )
    ]
    order = rng.permutation(5)
    colours = [palette[i] for i in order]
    canvas = _blend(_fill(x, colours[0]), _fill(x, colours[1]), y + 0.5 * (x - 0.5) * rng.normal())
    for colour in colours[2:]:
        at, size = rng.uniform(0.15, 0.85, 2), rng.uniform(0.12, 0.34)
        kind, turn = rng.integers(4), rng.uniform(0, np.pi)
        u = (x - at[0]) * WIDTH / HEIGHT * np.cos(turn) + (y - at[1]) * np.sin(turn)
        v = -(x - at[0]) * WIDTH / HEIGHT * np.sin(turn) + (y - at[1]) * np.cos(turn)
        distance = (
            np.hypot(u, v) - size, np.maximum(np.abs(u), np.abs(v)) - 0.8 * size, np.abs(v) - 0.35 * size,
            np.maximum(np.abs(u) * 1.7 + v, -v) - 0.7 * size,
        )[kind]  # fmt: skip
        canvas = _blend(canvas, _fill(x, colour), _step(distance, 0.02))
    return np.asarray(np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


def _hue(hue: float, value: float, saturation: float) -> np.ndarray:
    """An sRGB colour from hue, value and saturation in [0, 1]."""
    around = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return value * (1 - saturation + saturation * np.clip(around, 0, 1))


def _blend(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)[..., None]
    return a * (1 - t) + b * t


def _fill(x: np.ndarray, colour: tuple[float, ...] | np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.asarray(colour, dtype=float), (*x.shape, 3)).copy()


def _step(distance: np.ndarray, softness: float = 0.012) -> np.ndarray:
    """1 where distance is negative, with a soft edge."""
    return np.clip(0.5 - distance / softness, 0, 1)


def _disc(canvas: np.ndarray, x: np.ndarray, y: np.ndarray, at: tuple[float, float], r: float, colour) -> np.ndarray:
    distance = np.hypot((x - at[0]) * WIDTH / HEIGHT, y - at[1]) - r
    return _blend(canvas, _fill(x, colour), _step(distance))


def _sunset(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    canvas = _blend(_fill(x, (0.16, 0.18, 0.42)), _fill(x, (0.98, 0.6, 0.25)), y / 0.62)
    canvas = _disc(canvas, x, y, (0.3 + 0.4 * rng.random(), 0.52), 0.15, (1.0, 0.9, 0.55))
    sea = _blend(_fill(x, (0.85, 0.42, 0.26)), _fill(x, (0.1, 0.12, 0.28)), (y - 0.62) / 0.3)
    return _blend(canvas, sea, _step(0.62 - y))


def _mountains(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    canvas = _blend(_fill(x, (0.5, 0.7, 0.9)), _fill(x, (0.93, 0.93, 0.86)), y / 0.7)
    for base, colour in ((0.45, (0.55, 0.6, 0.72)), (0.6, (0.3, 0.42, 0.45)), (0.78, (0.16, 0.3, 0.2))):
        phase = rng.random(3) * 6
        ridge = base + 0.1 * np.sin(x * 6 + phase[0]) + 0.06 * np.abs(np.sin(x * 11 + phase[1])) - 0.05
        canvas = _blend(canvas, _fill(x, colour), _step(ridge - y))
    return canvas


def _grid(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    canvas = _fill(x, (0.94, 0.92, 0.86))
    xs, ys = np.array([0, 0.28, 0.66, 1.0]), np.array([0, 0.38, 0.72, 1.0])
    colours = [(0.82, 0.13, 0.1), (0.1, 0.22, 0.6), (0.95, 0.78, 0.12), (0.94, 0.92, 0.86), (0.94, 0.92, 0.86)]
    for i in range(3):
        for j in range(3):
            inside = (x >= xs[i]) & (x < xs[i + 1]) & (y >= ys[j]) & (y < ys[j + 1])
            canvas[inside] = colours[rng.integers(len(colours))]
    for edge in xs[1:3]:
        canvas[np.abs(x - edge) < 0.02] = 0.08
    for edge in ys[1:3]:
        canvas[np.abs(y - edge) < 0.026] = 0.08
    return canvas


def _circles(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    canvas = _fill(x, (0.93, 0.88, 0.76))
    colours = [(0.85, 0.25, 0.15), (0.12, 0.3, 0.5), (0.95, 0.7, 0.2), (0.15, 0.5, 0.42), (0.12, 0.1, 0.14)]
    for at, r in (((0.35, 0.45), 0.36), ((0.68, 0.6), 0.26), ((0.75, 0.25), 0.14)):
        order = rng.permutation(len(colours))
        for ring in range(3):
            canvas = _disc(canvas, x, y, at, r * (1 - ring / 3), colours[order[ring]])
    return canvas


def _waves(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    canvas = _blend(_fill(x, (0.85, 0.88, 0.86)), _fill(x, (0.6, 0.74, 0.8)), y)
    for i, colour in enumerate(((0.35, 0.6, 0.7), (0.16, 0.42, 0.58), (0.9, 0.93, 0.9), (0.06, 0.22, 0.4))):
        edge = 0.38 + 0.15 * i + 0.06 * np.sin(x * (8 - i) + 6 * rng.random())
        canvas = _blend(canvas, _fill(x, colour), _step(edge - y))
    return canvas


def _night(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    canvas = _blend(_fill(x, (0.04, 0.06, 0.2)), _fill(x, (0.16, 0.24, 0.46)), y)
    canvas = _disc(canvas, x, y, (0.25 + 0.5 * rng.random(), 0.3), 0.15, (0.96, 0.93, 0.74))
    for _ in range(7):
        at = (float(rng.random()), float(rng.random() * 0.6))
        canvas = _disc(canvas, x, y, at, 0.02, (0.95, 0.9, 0.7))
    hill = 0.78 + 0.08 * np.sin(x * 5 + 6 * rng.random())
    return _blend(canvas, _fill(x, (0.02, 0.05, 0.08)), _step(hill - y))


def _portrait(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    canvas = _blend(_fill(x, (0.32, 0.22, 0.14)), _fill(x, (0.14, 0.09, 0.07)), np.hypot(x - 0.5, y - 0.4) * 1.4)
    shoulders = np.hypot((x - 0.5) * 0.8, (y - 1.08) * 0.75) - 0.33
    canvas = _blend(canvas, _fill(x, (0.5, 0.1, 0.12)), _step(shoulders))
    canvas = _disc(canvas, x, y, (0.5, 0.4), 0.26, (0.14, 0.08, 0.05))
    canvas = _disc(canvas, x, y, (0.5, 0.46), 0.19, (0.88, 0.68, 0.54))
    return canvas


def _bands(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    canvas = _fill(x, (0.74, 0.24, 0.1))
    for top, bottom, colour in ((0.1, 0.42, (0.95, 0.62, 0.16)), (0.5, 0.9, (0.42, 0.08, 0.12))):
        inside = np.maximum(np.maximum(top - y, y - bottom), np.maximum(0.1 - x, x - 0.9))
        canvas = _blend(canvas, _fill(x, colour), _step(inside, 0.05))
    return canvas


_STYLES: dict[str, Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]] = {
    "sunset": _sunset,
    "mountains": _mountains,
    "grid": _grid,
    "circles": _circles,
    "waves": _waves,
    "night": _night,
    "portrait": _portrait,
    "bands": _bands,
}
