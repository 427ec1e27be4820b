"""A contact sheet of a building: its plan with all that stands and lives in it, and what is seen from each spawn."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worldsim.entities import HEADING, X, Y, at_rest
from worldsim.errors import SceneError
from worldsim.scene import Scene
from worldsim.source.rooms.geometry import wall_frame
from worldsim.source.rooms.layout import Picture, RoomsConfig, Show, Window
from worldsim.source.rooms.renderer import RoomsRenderer
from worldsim.source.rooms.view import RoomsView

_COLUMNS, _GAP, _LABEL = 3, 12, 22
_MARGIN_M = 0.6
_PAPER, _INK, _WALL, _SPAWN = (246, 244, 238), (40, 40, 46), (70, 68, 66), (200, 60, 40)


def preview(scene: Scene) -> np.ndarray:
    """The sheet. Returns uint8 (H, W, 3).

    Below the plan: the view from each spawn with everything at rest, then each event as seen from the first spawn.
    Raises SceneError if the scene has no rooms, DisplayError if nothing can be drawn here.
    """
    if not isinstance(scene.source, RoomsConfig):
        raise SceneError(f"a preview needs a scene of rooms, {scene.name[:40]} has the engine {scene.source.engine}")
    views = _views(scene)
    width = _COLUMNS * (scene.frame.width + _GAP) + _GAP
    plan = _plan(scene, scene.source, width)
    step = scene.frame.height + _LABEL + _GAP
    sheet = Image.new("RGB", (width, plan.height + math.ceil(len(views) / _COLUMNS) * step + _GAP), _PAPER)
    sheet.paste(plan, (0, 0))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for i, (label, pixels) in enumerate(views):
        x, y = _GAP + i % _COLUMNS * (scene.frame.width + _GAP), plan.height + i // _COLUMNS * step
        draw.text((x, y), label, _INK, font)
        sheet.paste(Image.fromarray(pixels), (x, y + _LABEL))
    return np.asarray(sheet)


def _views(scene: Scene) -> list[tuple[str, np.ndarray]]:
    """All pictures of the sheet with their labels."""
    renderer = RoomsRenderer(scene)
    try:
        rows = at_rest(scene.slots)
        poses = [(spawn.name, spawn.pose) for spawn in scene.spawns if spawn.pose is not None]
        found = [(name, renderer.render(RoomsView(pose, rows))) for name, pose in poses]
        name, pose = poses[0]
        for event in scene.events:
            if event.shows:
                found.append((f"{name}, {event.name}", renderer.render(RoomsView(pose, rows, {event.name: 1.0}))))
        return found
    finally:
        renderer.close()


class _Paper:
    """A drawing in metres, y upwards."""

    def __init__(self, source: RoomsConfig, width: int) -> None:
        x0, y0, x1, y1 = source.bounds
        self.left, self.top = x0 - _MARGIN_M, y1 + _MARGIN_M
        self.scale = width / (x1 - x0 + 2 * _MARGIN_M)
        self.image = Image.new("RGB", (width, round((y1 - y0 + 2 * _MARGIN_M) * self.scale)), _PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def at(self, x: float, y: float) -> tuple[float, float]:
        return (x - self.left) * self.scale, (self.top - y) * self.scale

    def rect(self, rect: tuple[float, float, float, float], fill, outline=None, wide: int = 1) -> None:
        (x0, y1), (x1, y0) = self.at(rect[0], rect[1]), self.at(rect[2], rect[3])
        self.draw.rectangle((x0, y0, x1, y1), fill, outline, wide)

    def disc(self, x: float, y: float, radius: float, fill) -> None:
        self.rect_of(self.draw.ellipse, x, y, radius, fill)

    def rect_of(self, shape, x: float, y: float, radius: float, fill) -> None:
        (px, py), r = self.at(x, y), max(radius * self.scale, 4)
        shape((px - r, py - r, px + r, py + r), fill, _INK)

    def line(self, points: list[tuple[float, float]], fill, wide: int) -> None:
        self.draw.line([self.at(*point) for point in points], fill, wide)

    def label(self, x: float, y: float, text: str, size: int, fill=_INK) -> None:
        """Text whose middle is at (x, y)."""
        self.draw.text(self.at(x, y), text, fill, ImageFont.load_default(size), anchor="mm", stroke_width=2,
                       stroke_fill=_PAPER)  # fmt: skip


def _plan(scene: Scene, source: RoomsConfig, width: int) -> Image.Image:
    """The building from above, north at the top."""
    paper = _Paper(source, width)
    for room in source.rooms:
        paper.rect(room.rect, _rgb(room.floor_colour, 0.55), _WALL, 5)
    for doorway in source.doorways:
        paper.rect(doorway.rect, _rgb(doorway.colour, 0.35))
    hangs: list[tuple[Picture | Window | Show, tuple[int, int, int]]] = [
        *((picture, (150, 110, 40)) for picture in source.pictures),
        *((window, (90, 170, 235)) for window in source.windows),
        *((show, (240, 110, 30)) for show in source.shows),
    ]
    for hung, colour in hangs:
        origin, along, _, _ = wall_frame(source.room(hung.room), hung.side)
        ends = [origin + along * (hung.along + side * hung.size[0] / 2) for side in (-1, 1)]
        paper.line([(float(p[0]), float(p[1])) for p in ends], colour, 6)
    for solid in source.solids:
        x, y = solid.at
        if solid.kind == "box":
            w, d = solid.size[0] / 2, solid.size[1] / 2
            paper.rect((x - w, y - d, x + w, y + d), _rgb(solid.colour), _INK)
        else:
            paper.disc(x, y, solid.radius, _rgb(solid.colour))
    for room in source.rooms:
        x0, _, x1, y1 = room.rect
        paper.label((x0 + x1) / 2, y1 - 0.45, room.name, 22)
    _entities(paper, scene, source)
    for spawn in scene.spawns:
        if spawn.pose is not None:
            x, y, yaw = spawn.pose.x, spawn.pose.y, math.radians(spawn.pose.look.yaw_deg)
            paper.line([(x, y), (x + 0.5 * math.sin(yaw), y + 0.5 * math.cos(yaw))], _SPAWN, 3)
            paper.disc(x, y, 0.07, _SPAWN)
            paper.label(x, y - 0.24, spawn.name, 13, _SPAWN)
    return paper.image


def _entities(paper: _Paper, scene: Scene, source: RoomsConfig) -> None:
    for entity, slot, row in zip(source.entities, scene.slots, at_rest(scene.slots), strict=True):
        x, y, turn = float(row[X]), float(row[Y]), math.radians(row[HEADING])
        colour = _rgb(getattr(entity, "colour", (0.6, 0.6, 0.6)))
        if entity.kind == "door":
            across = slot.size[0] / 2
            dx, dy = across * math.cos(turn), -across * math.sin(turn)
            paper.line([(x - dx, y - dy), (x + dx, y + dy)], colour, 8)
        else:
            paper.rect_of(paper.draw.rectangle, x, y, min(slot.size[:2]) / 2, colour)
        paper.label(x, y + 0.28, slot.name, 13)


def _rgb(colour: tuple[float, float, float], share: float = 1.0) -> tuple[int, int, int]:
    """sRGB in [0, 1] as bytes, mixed with the paper's colour."""
    red, green, blue = (round(255 * min(c, 1.0) * share + p * (1 - share)) for c, p in zip(colour, _PAPER, strict=True))
    return red, green, blue
