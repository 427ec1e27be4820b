"""Draws a frame, the bar below it and cards over it with ModernGL. Knows pictures and rectangles, nothing of worlds.

Row order: pictures come with rows from the top and are uploaded as they are, so their first row lies at texture
coordinate 0; the shader counts v from the top. Channel order is RGB throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import moderngl
import numpy as np
import pygame

_VERTEX = """
#version 330
uniform vec4 place;  // x, y of the lower left corner and width, height, in [-1, 1] screen units
out vec2 at;         // 0..1, from the top left of the picture
void main() {
    vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
    at = vec2(corner.x, 1.0 - corner.y);
    gl_Position = vec4(place.xy + corner * place.zw, 0.0, 1.0);
}
"""

_FRAME = """
#version 330
uniform sampler2D picture;
uniform sampler2D earlier;  // a frame of before that shows what lies beyond the newest one's edge
uniform mat3 warp;          // from where the player looks now to where the frame was made for; see camera.homography
uniform mat3 warp_earlier;
uniform float dim;
in vec2 at;
out vec4 colour;
vec2 seen_from(mat3 warp) {
    vec3 p = warp * vec3(at.x * 2.0 - 1.0, 1.0 - at.y * 2.0, 1.0);
    if (p.z < 1e-4) return vec2(-9.0);          // behind the back of that frame
    return vec2(p.x, -p.y) / p.z * 0.5 + 0.5;
}
float outside(vec2 uv) {
    vec2 over = max(max(-uv, uv - 1.0), 0.0);
    return over.x + over.y;
}
void main() {
    vec2 uv = seen_from(warp), before = seen_from(warp_earlier);
    vec3 made = texture(picture, clamp(uv, 0.0, 1.0)).rgb;
    if (outside(uv) > 0.0)  // what no frame has shown yet: the edge, stretched and darkened
        made = outside(before) > 0.0 ? made * (1.0 - min(6.0 * outside(uv), 0.6)) : texture(earlier, before).rgb;
    colour = vec4(made * dim, 1.0);
}
"""

_OVERLAY = """
#version 330
uniform sampler2D picture;
in vec2 at;
out vec4 colour;
void main() { colour = texture(picture, at); }
"""


@dataclass(frozen=True)
class Box:
    """A rectangle of the window in pixels, from the top left."""

    x: int
    y: int
    width: int
    height: int


def fit(width: int, height: int, aspect: float) -> Box:
    """The largest rectangle of an aspect centred in width x height."""
    wide = min(width, round(height * aspect))
    tall = min(height, round(wide / aspect))
    return Box((width - wide) // 2, (height - tall) // 2, max(wide, 1), max(tall, 1))


class Renderer:
    """Holds the textures. Call `begin`, then what is to be seen, then flip the window."""

    def __init__(self, gl: moderngl.Context) -> None:
        self._gl = gl
        self._frame_program = gl.program(vertex_shader=_VERTEX, fragment_shader=_FRAME)
        self._overlay_program = gl.program(vertex_shader=_VERTEX, fragment_shader=_OVERLAY)
        self._frame_quad = gl.vertex_array(self._frame_program, [])
        self._overlay_quad = gl.vertex_array(self._overlay_program, [])
        self._frame_program["picture"].value, self._frame_program["earlier"].value = 0, 1  # type: ignore[union-attr]
        self._frame: moderngl.Texture | None = None
        self._earlier: moderngl.Texture | None = None
        self._overlays: dict[str, moderngl.Texture] = {}
        self._size = (1, 1)

    def upload_frame(self, pixels: np.ndarray) -> None:
        """Take a new picture uint8 (H, W, 3)."""
        self._frame = self._uploaded(self._frame, pixels)

    def upload_earlier(self, pixels: np.ndarray) -> None:
        """Take a picture of before, to fill what the newest one does not show."""
        self._earlier = self._uploaded(self._earlier, pixels)

    def forget_frames(self) -> None:
        """Show no picture until the next one is uploaded: it is of another scene."""
        for texture in (self._frame, self._earlier):
            if texture is not None:
                texture.release()
        self._frame = self._earlier = None

    def _uploaded(self, texture: moderngl.Texture | None, pixels: np.ndarray) -> moderngl.Texture:
        size = pixels.shape[1], pixels.shape[0]
        if texture is None or texture.size != size:
            if texture is not None:
                texture.release()
            texture = self._gl.texture(size, 3)
            texture.repeat_x = texture.repeat_y = False
            texture.filter = moderngl.LINEAR, moderngl.LINEAR
        texture.write(np.ascontiguousarray(pixels).tobytes(), alignment=1)
        return texture

    def upload_overlay(self, name: str, surface: pygame.Surface) -> None:
        """Take a new picture with alpha for `draw_overlay`."""
        texture = self._overlays.get(name)
        if texture is None or texture.size != surface.get_size():
            if texture is not None:
                texture.release()
            texture = self._overlays[name] = self._gl.texture(surface.get_size(), 4)
            texture.filter = moderngl.LINEAR, moderngl.LINEAR
        texture.write(pygame.image.tobytes(surface, "RGBA"), alignment=1)

    def overlay_size(self, name: str) -> tuple[int, int]:
        """Width and height of an uploaded overlay."""
        width, height = self._overlays[name].size
        return width, height

    def begin(self, size: tuple[int, int]) -> None:
        """Clear a window of `size` pixels."""
        self._size = size
        self._gl.screen.use()
        self._gl.viewport = (0, 0, *size)
        self._gl.clear(0.055, 0.055, 0.065)

    def draw_frame(self, box: Box, warp: np.ndarray, dim: float = 1.0, warp_earlier: np.ndarray | None = None) -> None:
        """Draw the newest frame into `box`, seen through `warp` (3, 3), the identity for as it is; beyond its edge the
        earlier frame through its own warp, if one is given."""
        if self._frame is None:
            return
        self._frame.use(0)
        if self._earlier is not None:
            self._earlier.use(1)
        self._place(self._frame_program, box)
        if warp_earlier is None or self._earlier is None:
            warp_earlier = np.zeros((3, 3))  # shows nothing
        self._frame_program["warp"].write(warp.T.astype("f4").tobytes())  # type: ignore[union-attr]
        self._frame_program["warp_earlier"].write(warp_earlier.T.astype("f4").tobytes())  # type: ignore[union-attr]
        self._frame_program["dim"].value = dim  # type: ignore[union-attr]
        self._frame_quad.render(moderngl.TRIANGLE_STRIP, vertices=4)

    def draw_overlay(self, name: str, x: int, y: int) -> None:
        """Draw an uploaded overlay at its own size, its top left corner at (x, y)."""
        texture = self._overlays[name]
        texture.use(0)
        self._gl.enable(moderngl.BLEND)
        self._place(self._overlay_program, Box(x, y, *texture.size))
        self._overlay_quad.render(moderngl.TRIANGLE_STRIP, vertices=4)
        self._gl.disable(moderngl.BLEND)

    def read(self) -> np.ndarray:
        """What has been drawn, uint8 (H, W, 3), rows from the top."""
        width, height = self._size
        raw = self._gl.screen.read(viewport=(0, 0, width, height), components=3, alignment=1)
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3)[::-1]

    def _place(self, program: moderngl.Program, box: Box) -> None:
        width, height = self._size
        left, bottom = 2 * box.x / width - 1, 1 - 2 * (box.y + box.height) / height
        program["place"].value = left, bottom, 2 * box.width / width, 2 * box.height / height  # type: ignore[union-attr]
