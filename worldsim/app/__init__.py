"""The window: pygame and ModernGL, no torch. Talks to the engine process by messages only."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
