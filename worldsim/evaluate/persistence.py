"""Persistence: does a dream keep what only its start picture shows?

A patch is painted into the start picture, or the whole picture is of somewhere else. A dream that recalls a place by
heart and looks at no picture loses both at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldsim.camera import Pose
from worldsim.data.episodes import Episode
from worldsim.evaluate import report
from worldsim.evaluate.memory import HALF_TURN_TICKS, turn
from worldsim.evaluate.metric import SEEDS, Measurement, Metric, Part, Row, average, compare, dreamed
from worldsim.evaluate.nulls import ACTION_ZEROED, CEILING, DREAM, LAST_FRAME_REPEATED, MEANING
from worldsim.evaluate.outcome import likeness, shows
from worldsim.evaluate.rollouts import Dream, Dreamer, scripted_walk
from worldsim.psnr import psnr
from worldsim.world import Frame, State

HORIZONS = (1, 4, 16, 64)
_AWAY_DEG = 90.0
_COLOURS = ((255, 0, 255), (0, 200, 60), (255, 140, 0), (30, 80, 255))
_HEIGHTS = (1 / 6, 1 / 4, 1 / 3)  # of a patch, in heights of the frame


@dataclass(frozen=True)
class _Given:
    """Start pictures that differ from the place, uint8 (H, W, 3) each, and the pixels in which they do, (H, W)."""

    pictures: list[np.ndarray]
    masks: list[np.ndarray]


class Persistence(Metric):
    """Painted patches and pictures of elsewhere, standing still, and after turning away and back."""

    title = "Persistence"
    about = (
        "A patch painted into the start picture: the share of its colour that is left in its own pixels, less what of "
        "that colour has spread outside, after so many ticks standing still and after turning 90 degrees away and back "
        "(nothing counts if the view has not turned in between). A start picture of elsewhere: how far the dream has "
        "stayed with it, 1, or gone to the view of the place, 0."
    )
    needs_pose = False

    def run(self, measurement: Measurement) -> Part:
        """patch_kept_after_N, foreign_kept_after_N: standing still. patch_kept_after_turn: back from a turn away;
        turned_away: share of dreams whose view halfway is that of the turned truth, not the start picture.
        foreign_psnr_to_place_db_after_N: the dream of a picture of elsewhere against the true view of the place."""
        dreamer, source = measurement.dreamer, measurement.source
        begins = _begins(measurement)
        ticks = max(h for h in HORIZONS if h <= max(measurement.sizes.ticks, 1))
        idle = [source.scene.action_space.idle] * ticks
        walks = [w for w in (scripted_walk(source, b, idle, dreamer.window) for b in begins)
                 if len(w.frames) > dreamer.window]  # fmt: skip
        ticks = min(len(w.frames) for w in walks) - dreamer.window  # a source may end an episode
        rng = np.random.Generator(np.random.Philox(key=SEEDS[measurement.seeds]))
        pictures = [w.frames[0] for w in walks]
        painted, foreign = _painted(pictures, rng), _foreign(pictures, rng)
        sizes = {"starts": len(walks), "ticks": ticks, "steps": dreamer.steps}
        # Standing still, a frozen picture is right and the idle action is the true one: neither tells anything.
        rows: dict[str, dict[str, float | None]] = {}
        patched = _dream_from(measurement, walks, painted, ticks, "patches", (ACTION_ZEROED,))
        elsewhere = _dream_from(measurement, walks, foreign, ticks, "elsewhere", (ACTION_ZEROED,))
        for row in patched:
            rows[row] = _standing(dreamer, patched[row], walks, painted, ticks, "patch_kept_after")
            rows[row] |= _standing(dreamer, elsewhere[row], walks, foreign, ticks, "foreign_kept_after")
            rows[row] |= _to_place(elsewhere[row], walks, dreamer.window, ticks)
        unfair = {name: tuple(MEANING) if "to_place" in name else (LAST_FRAME_REPEATED,) for name in rows[DREAM]}
        strips = [_strip(dreamer, patched[DREAM], painted, ticks), _strip(dreamer, elsewhere[DREAM], foreign, ticks)]
        if self._can_turn(measurement):
            away = _turned_walks(measurement, begins)
            turned = _dream_from(measurement, away, painted, 2 * HALF_TURN_TICKS, "patches, away and back", ())
            for row, dreams in turned.items():
                rows.setdefault(row, {}).update(_after_turn(dreamer, dreams, away, painted))
        compared: dict[str, Row] = dict(rows)
        captions = ("Painted start pictures, then the dream standing still.", "Start pictures of elsewhere, likewise.")
        sections = [report.picture(s, c) for s, c in zip(strips, captions, strict=True)]
        return Part({"sizes": sizes, **compare(compared, unfair=unfair)}, sections)

    def judge(self, figures: Mapping[str, Any]) -> float:
        """10 points each for patches and pictures that stay, and 10 for patches that survive a turn."""
        shares = [dreamed(figures, f"{what}_kept_after_{h}") for what in ("patch", "foreign")
                  for h in HORIZONS if f"{what}_kept_after_{h}" in figures]  # fmt: skip
        return 20 * float(np.mean(shares or [0.0])) + 10 * dreamed(figures, "patch_kept_after_turn")

    def _can_turn(self, measurement: Measurement) -> bool:
        return measurement.scene.place is not None and measurement.scene.action_space.index("yaw") is not None


def colour_kept(made: np.ndarray, painted: np.ndarray, plain: np.ndarray, mask: np.ndarray) -> float:
    """Share of the difference between a painted and a plain picture, uint8 (H, W, 3), that a third one has within the
    mask (H, W), less the share of the patch's mean colour that it has outside: a picture that is tinted all over keeps
    no patch. More than all of it counts as that much too little; the least is -1."""
    paint, change = painted.astype(float) - plain, made.astype(float) - plain
    inside = float((change * paint)[mask].sum() / max(np.square(paint[mask]).sum(), 1e-9))
    colour = paint[mask].mean(axis=0)
    outside = float((change[~mask] @ colour).mean() / max(colour @ colour, 1e-9)) if not mask.all() else 0.0
    share = inside - outside
    return max(-1.0, min(share, 2 - share))


def _begins(measurement: Measurement) -> list[tuple[State, Frame]]:
    """Where to stand: the measurement's starts, or where episodes begin."""
    count = measurement.sizes.events
    if measurement.scene.place is not None:
        return [measurement.posed.at(pose) for pose in measurement.starts(count)]
    return [measurement.source.episode(SEEDS[measurement.seeds] + i)[1:] for i in range(count)]


def _turned_walks(measurement: Measurement, begins: Sequence[tuple[State, Frame]]) -> list[Episode]:
    """Turning away, to one side or the other, and back."""
    source, scene, walks = measurement.posed, measurement.scene, []
    for i, (_, frame) in enumerate(begins):
        side = _AWAY_DEG if i % 2 else -_AWAY_DEG
        actions = [*turn(scene, side, HALF_TURN_TICKS), *turn(scene, -side, HALF_TURN_TICKS)]
        pose = frame.pose or Pose()
        walks.append(scripted_walk(source, source.at(pose), actions, measurement.dreamer.window))
    return walks


def _painted(pictures: Sequence[np.ndarray], rng: np.random.Generator) -> _Given:
    """Every picture with a square of one colour in it: another colour, size and place each time."""
    made, masks = [], []
    for i, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        side = round(height * _HEIGHTS[i % len(_HEIGHTS)])
        top, left = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
        mask = np.zeros((height, width), bool)
        mask[top : top + side, left : left + side] = True
        paint = picture.copy()
        paint[mask] = _COLOURS[i % len(_COLOURS)]
        made.append(paint)
        masks.append(mask)
    return _Given(made, masks)


def _foreign(pictures: Sequence[np.ndarray], rng: np.random.Generator) -> _Given:
    """Pictures of elsewhere: in turn another start's mirrored in other colours, and coloured rectangles."""
    made = []
    for i, picture in enumerate(pictures):
        if i % 2:
            made.append(np.ascontiguousarray(pictures[i - 1][:, ::-1, [1, 2, 0]]))
            continue
        height, width = picture.shape[:2]
        drawn = np.empty_like(picture)
        drawn[:] = rng.integers(0, 256, 3)
        for _ in range(12):
            y, x = int(rng.integers(0, height * 3 // 4)), int(rng.integers(0, width * 3 // 4))
            drawn[y : y + height // 3, x : x + width // 4] = rng.integers(0, 256, 3)
        made.append(drawn)
    return _Given(made, [np.ones(p.shape[:2], bool) for p in pictures])


def _dream_from(
    measurement: Measurement, walks: Sequence[Episode], given: _Given, ticks: int, what: str, without: Sequence[str]
) -> dict[str, list[Dream]]:
    """Dreams of all rows from the given pictures. The ceiling: the given picture stays while the truth shows the same
    view, as the codec shows it."""
    dreamer = measurement.dreamer
    start = np.stack([np.stack([picture] * dreamer.window) for picture in given.pictures])
    dreams = dreamer.dream_all(walks, ticks, what, measurement.quiet, start, without)
    dreams[CEILING] = []
    for walk, picture, mask in zip(walks, given.pictures, given.masks, strict=True):
        kept = _laid_over(walk.frames[dreamer.window :][:ticks], picture, mask)
        dreams[CEILING].append(Dream(dreamer.after_codec(kept), None))
    return dreams


def _laid_over(frames: np.ndarray, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, 3) with the picture's pixels within the mask (H, W)."""
    return np.where(mask[..., None], picture, frames)


def _standing(
    dreamer: Dreamer, dreams: Sequence[Dream], walks: Sequence[Episode], given: _Given, ticks: int, name: str
) -> dict[str, float | None]:
    """What is kept at each horizon, all against true and given pictures after the codec."""
    found: dict[str, float | None] = {}
    for horizon in (h for h in HORIZONS if h <= ticks):
        shares = []
        for dream, walk, picture, mask in zip(dreams, walks, given.pictures, given.masks, strict=True):
            made = dream.frames[horizon - 1]
            true = walk.frames[dreamer.window + horizon - 1]
            plain, kept = dreamer.after_codec(np.stack([true, _laid_over(true, picture, mask)]))
            whole = mask.all()
            shares.append(likeness(made, kept, plain) if whole else colour_kept(made, kept, plain, mask))
        found[f"{name}_{horizon}"] = average(shares)
    return found


def _to_place(dreams: Sequence[Dream], walks: Sequence[Episode], window: int, ticks: int) -> dict[str, float | None]:
    return {
        f"foreign_psnr_to_place_db_after_{h}": average(
            [psnr(d.frames[h - 1], w.frames[window + h - 1]) for d, w in zip(dreams, walks, strict=True)], 2
        )
        for h in HORIZONS
        if h <= ticks
    }


def _after_turn(
    dreamer: Dreamer, dreams: Sequence[Dream], walks: Sequence[Episode], given: _Given
) -> dict[str, float | None]:
    """Of patches after turning away and back."""
    kept, away = [], []
    for dream, walk, picture, mask in zip(dreams, walks, given.pictures, given.masks, strict=True):
        halfway = dreamer.window + HALF_TURN_TICKS - 1
        turned = shows(dream.frames[HALF_TURN_TICKS - 1], walk.frames[halfway], [picture])
        if turned is None:
            continue
        true = walk.frames[-1]
        plain, painted = dreamer.after_codec(np.stack([true, _laid_over(true, picture, mask)]))
        kept.append(turned * colour_kept(dream.frames[-1], painted, plain, mask))
        away.append(turned)
    return {"patch_kept_after_turn": average(kept), "turned_away": average(away)}


def _strip(dreamer: Dreamer, dreams: Sequence[Dream], given: _Given, ticks: int) -> np.ndarray:
    """The given picture and the dream at each horizon, a row a start, uint8 (H, W, 3)."""
    looks = [h - 1 for h in HORIZONS if h <= ticks]
    rows = [np.concatenate([picture, *dream.frames[looks]], axis=1)
            for picture, dream in zip(given.pictures[:4], dreams, strict=False)]  # fmt: skip
    return np.concatenate(rows, axis=0)
