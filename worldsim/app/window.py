"""The window: SDL through pygame-ce with an OpenGL 3.3 context, mouse capture, full screen. Never imports torch."""

from __future__ import annotations

import os
from contextlib import suppress

import moderngl
import pygame

from worldsim.errors import DisplayError


def has_display() -> bool:
    """True if a window could be opened: a display server, or a video driver chosen on purpose."""
    if os.environ.get("SDL_VIDEODRIVER"):
        return os.environ["SDL_VIDEODRIVER"] != "dummy"
    if os.name != "posix" or os.uname().sysname == "Darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Window:
    """One resizable OpenGL window."""

    def __init__(self, size: tuple[int, int], title: str) -> None:
        """Raises DisplayError if no window or no context can be had."""
        os.environ.setdefault("LP_NUM_THREADS", "1")  # a software rasteriser must not take the engine's cores
        try:
            pygame.display.init()
            pygame.display.gl_set_attribute(pygame.GL_CONTEXT_MAJOR_VERSION, 3)
            pygame.display.gl_set_attribute(pygame.GL_CONTEXT_MINOR_VERSION, 3)
            pygame.display.gl_set_attribute(pygame.GL_CONTEXT_PROFILE_MASK, pygame.GL_CONTEXT_PROFILE_CORE)
            flags = pygame.OPENGL | pygame.DOUBLEBUF | pygame.RESIZABLE
            try:
                pygame.display.set_mode(size, flags, vsync=1)
            except pygame.error:  # no vertical sync here, Xvfb for one
                pygame.display.set_mode(size, flags)
            self.gl = moderngl.create_context(require=330)
        except Exception as error:  # pygame.error, and moderngl's bare Exceptions
            pygame.display.quit()
            raise DisplayError(f"no OpenGL window could be opened ({error})") from None
        pygame.display.set_caption(title)
        pygame.key.set_repeat()
        self.captured = False

    @property
    def size(self) -> tuple[int, int]:
        """Drawable size in pixels."""
        width, height = pygame.display.get_window_size()
        return max(width, 1), max(height, 1)

    def capture(self, wanted: bool) -> None:
        """Hide and hold the mouse, so that its motion is endless; or let it go."""
        if wanted == self.captured:
            return
        try:
            pygame.mouse.set_visible(not wanted)
            pygame.event.set_grab(wanted)
            pygame.mouse.set_relative_mode(wanted)
        except (pygame.error, AttributeError):
            pass  # offscreen drivers have no relative mode; hidden and grabbed gives relative motion too
        pygame.mouse.get_rel()
        self.captured = wanted

    def toggle_fullscreen(self) -> None:
        with suppress(pygame.error):  # a display without a window manager may refuse; the window stays as it is
            pygame.display.toggle_fullscreen()

    def flip(self) -> None:
        pygame.display.flip()

    def close(self) -> None:
        self.capture(False)
        pygame.display.quit()
