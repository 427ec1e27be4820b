"""Draws the pictures of docs/scenes.md, next to this file, from the scene that ships.

python docs/scenes/draw.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from worldsim.camera import Look, Pose
from worldsim.entities import FIELDS, HEADING, ON, PHASE, X, Y, Z, at_rest
from worldsim.scene import FrameSize, load_scene
from worldsim.source.rooms.entities.prop import Prop
from worldsim.source.rooms.layout import rooms_of
from worldsim.source.rooms.preview import preview
from worldsim.source.rooms.renderer import RoomsRenderer
from worldsim.source.rooms.view import RoomsView

HERE = Path(__file__).parent
SIZE = FrameSize(320, 176)
SCENE = load_scene("gallery")
ENTITIES = rooms_of(SCENE).entities
NAMES = [slot.name for slot in SCENE.slots]
SPAWNS = {spawn.name: spawn.pose for spawn in SCENE.spawns}


def main() -> None:
    renderer = RoomsRenderer(replace(SCENE, frame=SIZE))

    def picture(
        at: Pose | str, rows: np.ndarray | None = None, levels: Mapping[str, float] | None = None, seconds: float = 0.0,
        episode: int = 0, gait: float = 0.0,
    ) -> np.ndarray:  # fmt: skip
        pose = SPAWNS[at] if isinstance(at, str) else at
        assert pose is not None
        rows = at_rest(SCENE.slots) if rows is None else rows
        return renderer.render(RoomsView(pose, rows, levels or {}, episode, seconds, (gait,) * len(NAMES)))

    strip("rooms", [picture(at) for at in ("entrance", "window", "blue")])
    strip("anew", [picture("paintings", episode=episode) for episode in (1, 2, 3)])
    strip("fire", [picture("fire", seconds=seconds) for seconds in (1.0, 1.3, 1.6)])
    strip("screen", [picture("screen", seconds=seconds) for seconds in (1.0, 2.0, 3.0)])
    strip("fountain", [picture("fountain", seconds=seconds) for seconds in (1.0, 1.3, 1.6)])
    near = Pose(5.3, 1.9, Look(0.0, -20.0))
    strip(
        "ball",
        [
            picture(near, row("ball", phase=p, heading_deg=90, x=5.3 + dx))
            for p, dx in ((0, -0.6), (0.25, 0), (0.5, 0.6))
        ],
    )
    door, at, width = SPAWNS["cabinet-door"], ENTITIES[NAMES.index("cabinet door")].at, 1.38
    assert door is not None
    strip("door", [picture(door, leaf(at, width, p)) for p in (0.0, 0.5, 1.0)])
    strip("lamp", [picture("cabinet", row("switch", on=on)) for on in (0, 1)])
    cat = Pose(4.0, 2.6, Look(0.0, -20.0))
    strip("cat", [picture(cat, row("cat", heading_deg=h), gait=g) for h, g in ((120, 0.0), (180, 0.12), (250, 0.25))])
    pickups = ((7.2, 4.0, 48), (2.3, 7.9, 247), (10.6, 8.8, 23))
    lit = row("switch", on=1)
    strip("pickup", [picture(Pose(x, y, Look(yaw, -8.0)), lit) for x, y, yaw in pickups])
    prop = [picture("clock", swung(p)) for p in (-1, 0, 1)]
    strip("pendulum", prop)
    strip("events", [picture("entrance", levels={name: 1.0}) for name in ("night", "fog", "lights_out", "party")])
    renderer.close()
    save("preview", preview(SCENE), 0.75)


def row(name: str, **values: float) -> np.ndarray:
    """All entities at rest but one, some of whose fields are set."""
    rows = at_rest(SCENE.slots)
    for field, value in values.items():
        rows[NAMES.index(name), FIELDS.index(field)] = value
    return rows


def leaf(at: tuple[float, float], width: float, phase: float) -> np.ndarray:
    """The cabinet's door so far open: it looks east, and swings about its northern edge."""
    turn, half = np.radians(90 * phase), width / 2
    rows = at_rest(SCENE.slots)
    i = NAMES.index("cabinet door")
    rows[i, X], rows[i, Y] = at[0] + half * np.sin(turn), at[1] + half * (1 - np.cos(turn))
    rows[i, HEADING], rows[i, PHASE], rows[i, ON] = 90 - 90 * phase, phase, phase > 0
    return rows


def swung(phase: float) -> np.ndarray:
    """The pendulum so far to its right."""
    i, rows = NAMES.index("pendulum"), at_rest(SCENE.slots)
    prop = ENTITIES[i]
    assert isinstance(prop, Prop)
    turn = np.radians(prop.reach * phase)
    rows[i, X], rows[i, Z] = prop.at[0] + prop.length * np.sin(turn), prop.up - prop.length * np.cos(turn)
    rows[i, PHASE] = phase
    return rows


def strip(name: str, pictures: Sequence[np.ndarray]) -> None:
    """Pictures side by side, two by two if there are four."""
    gap = np.full((pictures[0].shape[0], 6, 3), 255, np.uint8)
    parts = [part for p in pictures for part in (p, gap)][:-1]
    if len(pictures) == 4:
        rows = [np.concatenate([pictures[i], gap, pictures[i + 1]], axis=1) for i in (0, 2)]
        save(name, np.concatenate([rows[0], np.full((6, rows[0].shape[1], 3), 255, np.uint8), rows[1]]))
    else:
        save(name, np.concatenate(parts, axis=1))


def save(name: str, pixels: np.ndarray, scale: float = 1.0) -> None:
    image = Image.fromarray(pixels)
    if scale != 1:
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    image.save(HERE / f"{name}.jpg", quality=86)


if __name__ == "__main__":
    main()
