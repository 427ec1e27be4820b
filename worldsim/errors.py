"""The one exception tree of worldsim.

Everything a user can bring (scene file, checkpoint, trace, picture, command line, missing display) and that can
be wrong raises a `WorldsimError` whose text is one sentence: what was expected, what came, where, and what to do.
The command line prints that sentence and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorldsimError(Exception):
    """Bad input, said in one sentence."""


class ConfigError(WorldsimError):
    """A YAML file or a setting has an unknown key or a value out of range."""


class SceneError(ConfigError):
    """A scene file is wrong."""


class CheckpointError(WorldsimError):
    """A checkpoint is missing, damaged, or of another version."""


class TraceError(WorldsimError):
    """A recording cannot be read."""


class SpawnError(WorldsimError):
    """A start picture is neither a spawn's name nor a readable image."""


class MessageError(WorldsimError):
    """What came over the pipe between window and engine is no message of theirs."""


class DataError(WorldsimError):
    """Collected episodes or cached latents are missing or damaged."""


class DisplayError(WorldsimError):
    """No window or no OpenGL context can be had."""


def shown(value: object) -> str:
    """What came, for an error sentence: at most 60 characters of it."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of thousands of digits
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming the known word closest to `name`, or the known words, of very many the first, if none is close."""
    words = sorted(word if len(word) <= 40 else word[:37] + "..." for word in known)
    close = difflib.get_close_matches(name[:60], words, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    listed = ", ".join(words)
    return "known: " + (listed[:117] + "..." if len(listed) > 120 else listed or "none")
