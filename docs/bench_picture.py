"""Draws docs/bench.svg from the JSON of `worldsim bench --json` runs: milliseconds a frame, shorter is faster.

    python docs/bench_picture.py "gallery, OpenVINO=a.json" "gallery, torch=b.json" > docs/bench.svg

Baselines of a run made with --baselines are drawn below them.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

BASELINES = {
    "no_cache_ms": "the same network without its cache",
    "diamond_shape_ms": "a denoiser of DIAMOND's shape",
}
LEFT, WIDTH, ROW = 300, 760, 30
LEAST_MS = 4.0


def picture(bars: list[tuple[str, float, bool]]) -> str:
    """Bars (name, milliseconds, ours) on a logarithmic scale, as SVG."""
    most = max(ms for _, ms, _ in bars)
    scale = (WIDTH - LEFT - 110) / math.log(most / LEAST_MS)
    height = ROW * len(bars) + 16
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="14">',
        f'<rect width="{WIDTH}" height="{height}" fill="#16161a" rx="8"/>',
    ]
    for i, (name, ms, ours) in enumerate(bars):
        y, length = 8 + ROW * i, max(3.0, scale * math.log(ms / LEAST_MS))
        colour = "#7fb4ff" if ours else "#6a6a74"
        out += [
            f'<text x="{LEFT - 10}" y="{y + 20}" text-anchor="end" fill="#dcdce2">{name}</text>',
            f'<rect x="{LEFT}" y="{y + 6}" width="{length:.0f}" height="{ROW - 12}" fill="{colour}" rx="3"/>',
            f'<text x="{LEFT + length + 8:.0f}" y="{y + 20}" fill="#dcdce2">{ms:.3g} ms</text>',
        ]
    return "\n".join([*out, "</svg>"])


def main(arguments: list[str]) -> None:
    bars: list[tuple[str, float, bool]] = []
    rest: dict[str, float] = {}
    for argument in arguments:
        name, _, file = argument.partition("=")
        figures = json.loads(Path(file).read_text())
        bars.append((name, figures["tick_ms"]["p50"], True))
        rest |= {text: figures[key] for key, text in BASELINES.items() if key in figures}
    print(picture([*bars, *((name, ms, False) for name, ms in rest.items())]))


if __name__ == "__main__":
    main(sys.argv[1:])
