"""The evaluation as one self-contained HTML page: figures, curves, film strips. Opens from disk, asks for nothing."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --soft: #68707a; --line: #d9dee4; --page: #fff;
  --a: #b4532a; --b: #2a6fb4; --c: #7a8a3a; --d: #8a4a9e; --e: #2a8a80 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #9aa3ad; --line: #363c44; --page: #16191d; --a: #e08a5c; --b: #6aaee8; --c: #aebf66;
  --d: #c08ad2; --e: #62c2b6 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 }
h2 { font-size: 1.15rem; margin-top: 2.2rem }
p.soft, figcaption, th { color: var(--soft) }
table { border-collapse: collapse; margin: .6rem 0 }
td, th { padding: .2rem .9rem .2rem 0; text-align: right; font-variant-numeric: tabular-nums; font-weight: normal }
td:first-child, th:first-child { text-align: left }
tr + tr td { border-top: 1px solid var(--line) }
div.wide { overflow-x: auto }
td:last-child { font-weight: 600 }
figure { margin: 1rem 0 }
img { width: 100%; display: block }
svg { width: 100%; height: auto }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif }
"""


def page(title: str, subtitle: str, sections: Sequence[str]) -> str:
    """A whole HTML document."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f'<h1>{html.escape(title)}</h1><p class="soft">{html.escape(subtitle)}</p>{"".join(sections)}</html>\n'
    )


def section(heading: str, *parts: str) -> str:
    """A heading and what follows it."""
    return f"<h2>{html.escape(heading)}</h2>{''.join(parts)}"


def note(text: str) -> str:
    """A paragraph in a soft colour."""
    return f'<p class="soft">{html.escape(text)}</p>'


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table, first column to the left."""
    cells = "".join(f"<th>{html.escape(str(h))}</th>" for h in head)
    lines = [f"<tr>{cells}</tr>"] if any(head) else []
    lines += ["<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in row) + "</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def figures_table(figures: Mapping[str, Any]) -> str:
    """A part's figures, one a line: the dream, its null rows, the ceiling and what the generator is worth."""
    head, rows = figure_rows(figures)
    said = [[name, *("" if v is None else _short_figure(v) for v in values)] for name, *values in rows]
    spoken = [name.replace("_", " ") for name in head]
    return f'<div class="wide">{table(("", *spoken), said)}</div>' if rows else ""


def figure_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Column names, and a row of name and values for each figure; None where a row lacks the figure."""
    found = {name: value for name, value in figures.items() if isinstance(value, Mapping) and "dream" in value
             and not isinstance(value["dream"], list)}  # fmt: skip
    known = ("dream", "memory_alone", "history_shuffled", "action_zeroed", "last_frame_repeated", "no_entities",
             "frozen_entities", "mean_frame", "ceiling", "generator_worth")  # fmt: skip
    head = [name for name in known if any(name in value for value in found.values())]
    return head, [[name, *(value.get(column) for column in head)] for name, value in found.items()]


def facts(figures: Mapping[str, Any]) -> str:
    """What a part says besides its figures, such as how much was measured, in one line."""
    said = {**figures.get("sizes", {}), **{k: v for k, v in figures.items() if isinstance(v, (bool, int, float))}}
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in said.items())


def _short_figure(value: float) -> str:
    return f"{value:.4g}"


def picture(frames: np.ndarray, caption: str) -> str:
    """A picture, uint8 (H, W, 3), inside the page itself."""
    buffer = io.BytesIO()
    Image.fromarray(frames).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_label: str, y_label: str, floor: float | None = None
) -> str:
    """Lines of (x, y) over one pair of axes, each named at its end. floor: the least y shown (default: least given)."""
    width, height, left, right, top, bottom = 880, 280, 46, 120, 12, 36
    xs = [v for x, _ in lines.values() for v in x]
    ys = [v for _, y in lines.values() for v in y]
    if not xs:
        return ""
    x0, x1 = min(xs), max(max(xs), min(xs) + 1e-9)
    y0, y1 = min(ys) if floor is None else floor, max(ys)
    y1 = max(y1 + 0.05 * (y1 - y0), y0 + 1e-9)

    def at_x(v: float) -> float:
        return left + (v - x0) / (x1 - x0) * (width - left - right)

    def at_y(v: float) -> float:
        return height - bottom - (v - y0) / (y1 - y0) * (height - top - bottom)

    out = [f'<svg viewBox="0 0 {width} {height}" role="img">']
    for i in range(5):
        y, x = y0 + (y1 - y0) * i / 4, x0 + (x1 - x0) * i / 4
        out.append(
            f'<line x1="{left}" x2="{width - right}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}" stroke="var(--line)"/>'
        )
        out.append(f'<text x="{left - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{_short(y)}</text>')
        out.append(f'<text x="{at_x(x):.1f}" y="{height - bottom + 16}" text-anchor="middle">{_short(x)}</text>')
    out.append(
        f'<text x="{(left + width - right) / 2}" y="{height - 4}" text-anchor="middle">{html.escape(x_label)}</text>'
    )
    out.append(f'<text x="{left}" y="{top - 2}">{html.escape(y_label)}</text>')
    taken: list[float] = []
    for colour, (name, (across, up)) in zip(("--a", "--b", "--c", "--d", "--e", "--soft"), lines.items(), strict=False):
        points = " ".join(f"{at_x(a):.1f},{at_y(b):.1f}" for a, b in zip(across, up, strict=True))
        out.append(f'<polyline points="{points}" fill="none" stroke="var({colour})" stroke-width="1.8"/>')
        end = at_y(up[-1]) + 4
        near = sorted((end + 13 * i for i in range(-len(taken) * 2, len(taken) * 2 + 1)), key=lambda y: abs(y - end))
        label = next(y for y in near if all(abs(y - t) >= 13 for t in taken))  # each label covers at most two others
        taken.append(label)
        out.append(
            f'<text x="{width - right + 8}" y="{label:.1f}" style="fill: var({colour})">{html.escape(name)}</text>'
        )
    return f"<figure>{''.join(out)}</svg></figure>"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.2f}"
