"""What the renderer of a building shows of entities, events, clocks and episodes; and the preview of a scene."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from worldsim.camera import Look, Pose, token_rays
from worldsim.entities import FIELDS, at_rest
from worldsim.errors import SceneError
from worldsim.scene import FrameSize, load_scene, parse_scene
from worldsim.source.rooms.layout import camera_of
from worldsim.source.rooms.view import RoomsView

pytestmark = pytest.mark.gl
SMALL = FrameSize(128, 80)


@pytest.fixture(scope="module")
def gallery():
    return replace(load_scene("gallery"), frame=SMALL)


@pytest.fixture(scope="module")
def renderer(gallery):
    from worldsim.source.rooms.renderer import RoomsRenderer

    renderer = RoomsRenderer(gallery)
    yield renderer
    renderer.close()


def before(gallery, name: str) -> Pose:
    """Where one stands to see an entity at rest in the middle of the picture, three to one metre away."""
    from worldsim.source.rooms.dynamics import Dynamics

    x, y, _, heading = at_rest(gallery.slots)[[slot.name for slot in gallery.slots].index(name), :4]
    dynamics = Dynamics(gallery)
    for away in (2.0, 1.5, 2.5, 1.0, 0.7):
        for yaw in heading + np.arange(0, 360, 15):  # who faces it first
            at = x - away * np.sin(np.radians(yaw)), y - away * np.cos(np.radians(yaw))
            same_room = any(r.rect[0] - 0.4 <= x <= r.rect[2] + 0.4 and r.rect[1] - 0.4 <= y <= r.rect[3] + 0.4
                            and r.rect[0] < at[0] < r.rect[2] and r.rect[1] < at[1] < r.rect[3]
                            for r in gallery.source.rooms)  # fmt: skip
            if same_room and dynamics.is_free(*at):
                return Pose(*at, Look(float(yaw), -10.0))
    raise AssertionError(f"{name} cannot be seen")


def changed(gallery, name: str, **values: float) -> np.ndarray:
    rows = at_rest(gallery.slots)
    for field, value in values.items():
        rows[[slot.name for slot in gallery.slots].index(name), FIELDS.index(field)] = value
    return rows


def test_a_ray_is_as_long_as_it_is_to_what_it_hits(gallery, renderer):
    """Floors and walls, by arithmetic; and what is drawn with fewer rays is where it is drawn with more."""
    camera = camera_of(gallery)
    pose = before(gallery, "ball")
    rays = token_rays(camera, gallery.frame.aspect, 20, 32).reshape(20, 32, 3)
    pitch = math.radians(-60)
    down = -(rays[..., 2] * math.sin(pitch) + rays[..., 1] * math.cos(pitch))
    floor = camera.eye_height_m / down
    seen = renderer.distances(replace(pose, look=Look(pose.look.yaw_deg, -60.0)), 20, 32)
    assert (np.abs(seen - floor) < 0.01).mean() > 0.4 and (seen < floor + 0.01).all()  # else something stands before it
    room = next(
        r.rect for r in gallery.source.rooms if r.rect[0] < pose.x < r.rect[2] and r.rect[1] < pose.y < r.rect[3]
    )
    ahead = renderer.distances(replace(pose, look=Look(0.0, 60.0)), 20, 32)  # up at the north wall, above all furniture
    north = rays[..., 2] * math.cos(math.radians(60)) - rays[..., 1] * math.sin(math.radians(60))
    assert (ahead * north < room[3] - pose.y + 0.01).all()
    coarse = renderer.distances(pose, 4, 8)
    fine = renderer.distances(pose, 12, 24)[1::3, 1::3]
    assert np.allclose(coarse, fine, atol=1e-3)


def pixels_apart(one: np.ndarray, other: np.ndarray) -> int:
    return int((np.abs(one.astype(int) - other).max(axis=2) > 8).sum())


def kinds(gallery) -> list[tuple[str, dict[str, float]]]:
    """An entity of each kind with another state of it that must be seen."""
    found: dict[str, tuple[str, dict[str, float]]] = {}
    for entity, slot in zip(gallery.source.entities, gallery.slots, strict=True):
        x, y, z = slot.rest[:3]
        other = {
            "ball": {"phase": 0.3},
            "door": {"x": x + 0.7, "y": y + 0.7, "heading_deg": slot.rest[3] + 90},
            "lamp": {"on": 1.0 - slot.rest[8]},
            "creature": {"heading_deg": 90.0},
            "pickup": {"on": 0.0},
            "prop": {"x": x + 0.15, "z": z + 0.02, "phase": 1.0},
        }[entity.kind]
        found.setdefault(entity.kind, (entity.name, other))
    return list(found.values())


def test_each_kind_of_entity_shows_its_row(gallery, renderer):
    for name, other in kinds(gallery):
        pose = before(gallery, name)
        rest = renderer.render(RoomsView(pose, at_rest(gallery.slots)))
        moved = renderer.render(RoomsView(pose, changed(gallery, name, **other)))
        assert pixels_apart(rest, moved) > 12, name
        assert np.array_equal(rest, renderer.render(RoomsView(pose, at_rest(gallery.slots)))), name


def test_a_lamp_that_is_off_leaves_its_room_dark_and_others_as_they_are(gallery, renderer):
    lamp = next(e for e in gallery.source.entities if e.kind == "lamp")
    x0, y0, x1, y1 = gallery.source.room(lamp.room).rect
    inside = Pose((x0 + x1) / 2, (y0 + y1) / 2, Look(45.0))
    lit, dark = (changed(gallery, lamp.name, on=on) for on in (1, 0))
    bright, dim = (renderer.render(RoomsView(inside, rows)).mean() for rows in (lit, dark))
    assert dim < 0.5 * bright
    hall = gallery.spawns[0].pose
    assert np.array_equal(*(renderer.render(RoomsView(hall, rows)) for rows in (lit, dark)))


def test_a_door_within_a_wall_is_lit_from_the_side_it_is_seen_from(gallery, renderer):
    """Wherever within the wall its middle is: a quantum to either side changes nothing."""
    x, y = at_rest(gallery.slots)[[slot.name for slot in gallery.slots].index("cabinet door"), :2]
    lit, dark = Pose(x - 1.5, y, Look(90.0)), Pose(x + 1.5, y, Look(-90.0))
    for off in (-0.01, 0.0, 0.01):
        bright, dim = (
            renderer.render(RoomsView(pose, changed(gallery, "cabinet door", x=x + off)))[30:50, 54:74].mean()
            for pose in (lit, dark)
        )
        assert dim < 0.5 * bright, off


def test_a_creature_walks_by_its_gait(gallery, renderer):
    cat = next(i for i, e in enumerate(gallery.source.entities) if e.kind == "creature")
    rows = changed(gallery, gallery.slots[cat].name, heading_deg=90.0)
    pose = before(gallery, gallery.slots[cat].name)
    gaits = [tuple(g * (i == cat) for i in range(len(rows))) for g in (0.0, 0.13)]
    stands, steps = (renderer.render(RoomsView(pose, rows, gaits=g)) for g in gaits)
    assert 0 < pixels_apart(stands, steps) < 0.1 * SMALL.width * SMALL.height


def test_each_event_shows_something_else_than_all_others(gallery, renderer):
    pose = gallery.spawns[0].pose
    shown = [renderer.render(RoomsView(pose, at_rest(gallery.slots), levels))
             for levels in [{}] + [{e.name: 1.0} for e in gallery.events if e.shows]]  # fmt: skip
    for i, one in enumerate(shown):
        assert one.std() > 8  # the place is still seen
        for other in shown[:i]:
            assert np.abs(one.astype(int) - other).mean() > 6
    half = renderer.render(RoomsView(pose, at_rest(gallery.slots), {"night": 0.5})).mean()
    assert min(shown[0].mean(), shown[1].mean()) < half < max(shown[0].mean(), shown[1].mean())


def test_pictures_hung_anew_are_a_function_of_the_episode(gallery, renderer):
    source = gallery.source
    anew = next(p for p in source.pictures if p.style == "anew")
    pose = next(s.pose for s in gallery.spawns if s.name == "paintings")
    assert anew.room == "hall"
    one, two, again = (renderer.render(RoomsView(pose, episode=number)) for number in (1, 2, 1))
    assert pixels_apart(one, two) > 100
    assert np.array_equal(one, again)


def test_shows_move_by_the_clock_alone(gallery, renderer):
    for name in ("fire", "screen", "fountain"):
        pose = next(s.pose for s in gallery.spawns if s.name == name)
        now, later, again = (renderer.render(RoomsView(pose, seconds=s)) for s in (1.0, 1.4, 1.0))
        assert pixels_apart(now, later) > 12, name
        assert np.array_equal(now, again), name


def test_nothing_is_drawn_of_entities_that_are_not_told(gallery, renderer):
    """Where no rows are given, all lamps are lit and nothing stands about."""
    empty = replace(gallery, source=replace(gallery.source, entities=()))
    other = renderer.__class__(empty)
    try:
        for spawn in gallery.spawns[::4]:
            assert np.array_equal(renderer.render(RoomsView(spawn.pose)), other.render(RoomsView(spawn.pose)))
    finally:
        other.close()


def test_a_preview_shows_every_spawn_and_every_event(gallery):
    from worldsim.source.rooms.preview import preview

    sheet = preview(gallery)
    views = len(gallery.spawns) + sum(event.shows for event in gallery.events)
    assert sheet.shape[1] > 3 * SMALL.width and sheet.shape[0] > -(-views // 3) * SMALL.height
    assert sheet.std() > 20


def test_a_preview_of_a_scene_without_rooms_is_one_sentence(gallery):
    from worldsim.source.rooms.preview import preview

    source = type("Drawn", (), {"engine": "drawn", "place": None, "slots": (), "known_events": ()})()
    bare = replace(gallery, source=source, camera=None, events=())
    with pytest.raises(SceneError, match="needs a scene of rooms"):
        preview(bare)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"shows": [{"kind": "fire", "room": "attic", "side": "north", "along": 1.0}]}, r"shows\[0\].room is 'attic'"),
        ({"shows": [{"kind": "wire", "room": "hall", "side": "north", "along": 1.0}]}, r"shows\[0\].kind is 'wire'"),
        ({"shows": [{"kind": "fire", "room": "hall", "side": "north", "along": 1.0}] * 5}, "at most 4 fires"),
        ({"pictures": [{"room": "hall", "side": "north", "along": 1.0, "style": "new"}]}, r"pictures\[0\].style"),
    ],
)
def test_a_wrong_scene_is_one_sentence(gallery, change, sentence):
    from worldsim.config import to_mapping

    data = to_mapping(gallery)
    data["source"].update(change)
    with pytest.raises(SceneError, match=sentence):
        parse_scene(data, "my.yaml")
