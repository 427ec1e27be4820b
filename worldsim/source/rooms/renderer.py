"""Draws a building of rooms with ModernGL: the true engine behind our own scenes.

Knows geometry and light, nothing of time: give it a pose and it returns the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import moderngl
import numpy as np

from worldsim.camera import Pose, rotation, token_rays
from worldsim.entities import ON, X, Y
from worldsim.errors import DisplayError
from worldsim.scene import Scene
from worldsim.source.rooms import figures, geometry, paintings
from worldsim.source.rooms.entities.lamp import Lamp
from worldsim.source.rooms.figures import figure
from worldsim.source.rooms.layout import EVENTS, camera_of, rooms_of
from worldsim.source.rooms.view import RoomsView

_SHADERS = Path(__file__).parent / "shaders"
_SURFACES = ("", "FLOOR", "SHOW")  # classes of surfaces, each with shaders of its own: see geometry.surfaces
_LIGHTS = ("", "PARTY")
_BARE = """#version 330
uniform mat4 view_projection;
in vec3 in_position;
void main() { gl_Position = view_projection * vec4(in_position, 1.0); }
"""  # where only distances are asked for
_ATTRIBUTES = {"in_position": 3, "in_normal": 3, "in_surface": 2, "in_colour": 3, "in_accent": 3, "in_kind": 2}
_MOST_SHADOWS = 16
_MIST = (0.8, 0.82, 0.84)
_NEAR_M, _FAR_M = 0.05, 60.0  # what lies between is drawn
_SAMPLES = 4  # multisampling: edges are smooth, patterns smooth themselves in the shader


@dataclass(frozen=True)
class _Triangles:
    """Triangles of one class of surfaces: for each kind of light the number of the program that draws them and its
    vertex array."""

    programs: tuple[int, ...]
    arrays: tuple[moderngl.VertexArray, ...]


class RoomsRenderer:
    """Renders the frames of one scene offscreen. All renderers of a process share one OpenGL context: closing a context
    gives back little of the 8 MB that it takes."""

    def __init__(self, scene: Scene, context: moderngl.Context | None = None) -> None:
        """context: an existing OpenGL context to draw in, else the process's headless one. Raises DisplayError."""
        self.scene = scene
        self._gl = context or _headless_context()
        self._owned: list[Any] = []  # what is freed by close: moderngl frees nothing by itself
        with self._gl:
            self._make()

    def _make(self) -> None:
        scene, keep = self.scene, self._keep
        source = rooms_of(scene)
        self._programs = [keep(self._compiled(surface, lit)) for surface in _SURFACES for lit in _LIGHTS]
        building = geometry.build(source)
        self._bare = keep(self._gl.program(vertex_shader=_BARE, fragment_shader="#version 330\nvoid main() {}\n"))
        self._building = keep(_array(self._gl, self._bare, keep(self._gl.buffer(building.astype("f4").tobytes()))))
        self._rooms = [self._triangles(building[building[:, -1] == i]) for i in range(len(source.rooms))]
        self._size = size = scene.frame.width, scene.frame.height
        colour = keep(self._gl.renderbuffer(size, 4, samples=_SAMPLES))
        depth = keep(self._gl.depth_renderbuffer(size, samples=_SAMPLES))
        self._target = keep(self._gl.framebuffer([colour], depth))
        self._resolved = keep(self._gl.framebuffer([keep(self._gl.renderbuffer(size, 4))]))
        self._pictures = keep(self._upload_pictures())
        self._grid: moderngl.Framebuffer | None = None  # of distances
        self._hung: int | None = None  # the episode whose pictures hang
        self._figures = [figure(entity) for entity in source.entities]
        self._parts = [
            [(part, self._triangles(part.vertices)) for part in made.parts] for made in self._figures
        ]  # fmt: skip
        self._set_light()

    def _compiled(self, *defined: str) -> moderngl.Program:
        """The program with some parts of the shader switched on."""
        vertex, fragment = ((_SHADERS / f"rooms.{kind}").read_text() for kind in ("vert", "frag"))
        version, rest = fragment.split("\n", 1)
        switches = "".join(f"#define {name}\n" for name in defined if name)
        return self._gl.program(vertex_shader=vertex, fragment_shader=f"{version}\n{switches}{rest}")

    def _triangles(self, vertices: np.ndarray) -> list[_Triangles]:
        """Vertices, by class of surfaces, as programs draw them."""
        surface, made = geometry.surfaces(vertices), []
        for i in range(len(_SURFACES)):
            if not (surface == i).any():
                continue
            buffer = self._keep(self._gl.buffer(np.ascontiguousarray(vertices[surface == i]).tobytes()))
            programs = range(i * len(_LIGHTS), (i + 1) * len(_LIGHTS))
            arrays = [self._keep(_array(self._gl, self._programs[n], buffer)) for n in programs]
            made.append(_Triangles(tuple(programs), tuple(arrays)))
        return made

    def _keep(self, resource: Any) -> Any:
        """An OpenGL object, noted as one to free."""
        self._owned.append(resource)
        return resource

    def render(self, view: RoomsView) -> np.ndarray:
        """The picture of a view. Returns uint8 (H, W, 3), rows from the top."""
        with self._gl:  # another world of the process may have drawn last
            raw = self._drawn(view)
        width, height = self._size
        return raw.reshape(height, width, 3)[::-1].copy()  # OpenGL's rows start at the bottom

    def distances(self, pose: Pose, rows: int, columns: int) -> np.ndarray:
        """How far the rooms are along the rays through the centres of a grid: float32 (rows, columns) in metres."""
        camera, aspect = camera_of(self.scene), self.scene.frame.aspect
        with self._gl:
            grid = self._grid_of((columns, rows))
            grid.use()
            grid.clear(depth=1.0)
            self._gl.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
            self._bare["view_projection"].write(self._seen_from(pose)[1].T.astype("f4").tobytes())  # type: ignore[union-attr]
            self._building.render()
            raw = grid.read(components=1, attachment=-1, dtype="f4", alignment=1)
        depth = np.frombuffer(raw, np.float32).reshape(rows, columns)[::-1].astype(np.float64)
        ahead = 2 * _FAR_M * _NEAR_M / (_FAR_M + _NEAR_M - (2 * depth - 1) * (_FAR_M - _NEAR_M))
        along = token_rays(camera, aspect, rows, columns)[:, 2].reshape(rows, columns)
        return (ahead / along).astype(np.float32)

    def _grid_of(self, size: tuple[int, int]) -> moderngl.Framebuffer:
        """What distances are drawn on, kept for the next ones."""
        if self._grid is None or self._grid.size != size:
            colour, depth = self._keep(self._gl.renderbuffer(size, 4)), self._keep(self._gl.depth_texture(size))
            self._grid = self._keep(self._gl.framebuffer([colour], depth))
        return self._grid

    def _seen_from(self, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """The eye at a pose, and the matrix from the world to the picture."""
        camera = camera_of(self.scene)
        eye = np.array([pose.x, pose.y, camera.eye_height_m])
        return eye, _projection(camera.fov_deg, self.scene.frame.aspect) @ _view(pose, eye)

    def _drawn(self, view: RoomsView) -> np.ndarray:
        pose, source = view.pose, rooms_of(self.scene)
        self._target.use()
        self._gl.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._set_view(view)
        eye, matrix = self._seen_from(pose)
        self._tell("eye", tuple(eye))
        self._tell("view_projection", matrix.T)
        self._pictures.use(0)
        light = int(view.levels.get("party", 0.0) > 0)
        still = np.eye(4, dtype="f4").tobytes()
        # The nearest room first: what it hides of the others is then not lit.
        rooms = [(still, -1, self._rooms[i]) for i in geometry.rooms_by_distance(source, pose)]
        for stands, room, triangles in rooms[:1] + self._standing(view) + rooms[1:]:
            for part in triangles:
                program = self._programs[part.programs[light]]
                program["stands"].write(stands)  # type: ignore[union-attr]
                program["stands_in"].value = room  # type: ignore[union-attr]
                part.arrays[light].render()
        self._gl.copy_framebuffer(self._resolved, self._target)
        return np.frombuffer(self._resolved.read(components=3, alignment=1), dtype=np.uint8)

    def _standing(self, view: RoomsView) -> list[tuple[bytes, int, list[_Triangles]]]:
        """The parts of entities: the matrix of each, the room it is in, and its triangles."""
        if view.entities is None:
            return []
        source, found = rooms_of(self.scene), []
        for i, (parts, row) in enumerate(zip(self._parts, view.entities, strict=True)):
            room = geometry.lit_in(source, (float(row[X]), float(row[Y])), (view.pose.x, view.pose.y))
            gait = view.gaits[i] if view.gaits else 0.0
            for part, triangles in parts:
                stands = part.stands(row, gait)
                if stands is not None:
                    found.append((stands.T.astype("f4").tobytes(), room, triangles))
        return found

    def _set_view(self, view: RoomsView) -> None:
        """What changes from picture to picture: events, lamps, clocks, shadows, what hangs on the walls."""
        source = rooms_of(self.scene)
        levels = {name: float(view.levels.get(name, 0.0)) for name in EVENTS}
        for name in ("night", "lights_out", "party"):
            self._tell(name, levels[name])
        seconds = view.seconds % 3600.0
        self._tell("seconds", seconds)
        self._tell("flicker", 1 + 0.16 * math.sin(9 * seconds) + 0.1 * math.sin(23 * seconds + 1))
        lit = [1.0] * len(source.rooms)
        moving: list[tuple[float, float, float, float]] = []
        if view.entities is not None:
            moving = figures.shadows(self._figures, view.entities)[:_MOST_SHADOWS]
            for entity, row in zip(source.entities, view.entities, strict=True):
                if isinstance(entity, Lamp):
                    lit[source.rooms.index(source.room(entity.room))] = float(row[ON] > 0.5)
        self._set("room_lit", [(value,) for value in lit], 8)
        self._set("mover", moving, _MOST_SHADOWS)
        self._tell("movers", len(moving))
        fog = np.array(source.fog) * (1 - levels["fog"]) + np.array(_MIST) * levels["fog"]
        fog = fog * (1 - 0.85 * levels["night"]) * (1 - 0.8 * levels["lights_out"])
        self._tell("fog_colour", tuple(fog))
        self._tell("fog_per_m", source.fog_per_m + 0.15 * levels["fog"])
        self._target.clear(*fog, depth=1.0)
        self._hang(view.episode)

    def _hang(self, episode: int) -> None:
        """Put this episode's pictures on the walls where they are hung anew."""
        pictures = rooms_of(self.scene).pictures
        if episode == self._hung or all(picture.style != "anew" for picture in pictures):
            return
        self._hung = episode
        for i, picture in enumerate(pictures):
            if picture.style == "anew":
                image = paintings.anew(episode * 64 + i)[::-1]
                self._pictures.write(image.tobytes(), viewport=(0, 0, i, paintings.WIDTH, paintings.HEIGHT, 1))
        self._pictures.build_mipmaps()

    @property
    def context(self) -> moderngl.Context:
        """The OpenGL context it draws in."""
        return self._gl

    @property
    def renderer(self) -> str:
        """Name and version of the OpenGL renderer."""
        return f"{self._gl.info['GL_RENDERER']}, {self._gl.info['GL_VERSION']}"

    def close(self) -> None:
        """Free the OpenGL objects. May be called twice."""
        with self._gl:
            while self._owned:
                self._owned.pop().release()

    def _upload_pictures(self) -> moderngl.TextureArray:
        images = [paintings.paint(p.style, p.seed) for p in rooms_of(self.scene).pictures]
        images = images or [np.zeros((paintings.HEIGHT, paintings.WIDTH, 3), np.uint8)]
        data = np.stack([image[::-1] for image in images])  # rows from the bottom, as OpenGL counts
        texture = self._gl.texture_array((paintings.WIDTH, paintings.HEIGHT, len(images)), 3, data.tobytes())
        texture.build_mipmaps()
        texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
        texture.repeat_x = texture.repeat_y = False
        return texture

    def _set_light(self) -> None:
        source = rooms_of(self.scene)
        rooms, solids, windows = source.rooms, source.solids, source.windows
        self._set("room_rect", [r.rect for r in rooms], 8)
        self._set("room_height", [(r.height,) for r in rooms], 8)
        self._set("room_lamp", [r.lamp for r in rooms], 8)
        shadows = [
            (*s.at, max(s.size) / 2 if s.kind == "box" else s.radius * (0.95 if s.kind == "pillar" else 0.8),
             s.height + (2 * s.radius if s.kind == "sphere" else 0))
            for s in solids
        ]  # fmt: skip
        self._set("solid", shadows, 24)
        self._tell("solids", len(solids))
        corners = [geometry.window_corners(source, w) for w in windows]
        for i, name in enumerate(("window_centre", "window_along", "window_normal")):
            self._set(name, [tuple(c[i]) for c in corners], 4)
        self._set("window_half", [(w.size[0] / 2, w.size[1] / 2) for w in windows], 4)
        self._tell("windows", len(windows))
        direction = np.array(source.sun.direction) / np.linalg.norm(source.sun.direction)
        self._tell("sun_direction", tuple(direction))
        self._tell("sun_colour", source.sun.colour)
        fires = [show for show in source.shows if show.kind == "fire"]
        places = [geometry.show_corners(source, fire) for fire in fires]
        self._set("fire", [tuple(centre + 0.25 * normal) for centre, _, normal in places], 4)
        self._tell("fires", len(fires))

    def _set(self, name: str, rows: Sequence[tuple[float, ...]], size: int) -> None:
        """Fill a uniform array of `size` with `rows`, the rest with zeros."""
        width = len(rows[0]) if rows else 0
        data = np.zeros((size, max(width, 1)), dtype="f4")
        if rows:
            data[: len(rows)] = rows
            self._tell(name, data)

    def _tell(self, name: str, value: Any) -> None:
        """Set a uniform in every program that has it. Arrays are written as they are, in float32."""
        for program in self._programs:
            if name in program:
                uniform = program[name]
                if isinstance(value, np.ndarray):
                    uniform.write(value.astype("f4").tobytes())  # type: ignore[union-attr]
                else:
                    uniform.value = value  # type: ignore[union-attr]


def _array(gl: moderngl.Context, program: moderngl.Program, buffer: moderngl.Buffer) -> moderngl.VertexArray:
    """The vertices of a buffer as a program reads them: what it has no use for is skipped."""
    read = [name for name in _ATTRIBUTES if name in program]
    layout = " ".join(f"{n}f" if name in program else f"{4 * n}x" for name, n in _ATTRIBUTES.items())
    return gl.vertex_array(program, [(buffer, layout, *read)])


@cache
def _headless_context() -> moderngl.Context:
    try:
        return moderngl.create_context(standalone=True, backend="egl", require=330)  # type: ignore[call-arg, arg-type]
    except Exception as error:  # moderngl raises bare Exceptions of many kinds
        raise DisplayError(
            f"no OpenGL 3.3 context could be made through EGL ({error}); on Debian install libegl1 and libgl1"
        ) from None


def _projection(fov_deg: float, aspect: float, near: float = _NEAR_M, far: float = _FAR_M) -> np.ndarray:
    f = 1 / math.tan(math.radians(fov_deg) / 2)
    a, b = (far + near) / (near - far), 2 * far * near / (near - far)
    return np.array([[f / aspect, 0, 0, 0], [0, f, 0, 0], [0, 0, a, b], [0, 0, -1, 0]])


def _view(pose: Pose, eye: np.ndarray) -> np.ndarray:
    right, up, forward = rotation(pose.look)
    axes = np.stack([right, up, -forward])
    matrix = np.eye(4)
    matrix[:3, :3] = axes
    matrix[:3, 3] = -axes @ eye
    return matrix
