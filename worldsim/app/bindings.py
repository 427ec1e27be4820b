"""The keys, as data: one table for what a key does, the key card, the status bar's line and the README.

`python -m worldsim.app.bindings` prints the README's table. A scene's own controls are read from the scene, and a key
that a scene takes for itself is the scene's.
"""

from __future__ import annotations

from dataclasses import dataclass

from worldsim.scene import Scene


@dataclass(frozen=True)
class Binding:
    """One key of the program.

    key: its name in SDL's words. does: what for, in plain words. command: what is run, see loop.Desktop.commands;
    argument: given to it. hint: what the status bar calls it while it has nothing to say; empty: not there.
    ctrl: only with Ctrl held. always: even while an overlay takes the keys. in_world: only once there is a world.
    for_events: only where the world has events.
    """

    key: str
    does: str
    command: str
    argument: str = ""
    hint: str = ""
    ctrl: bool = False
    always: bool = False
    in_world: bool = False
    for_events: bool = False

    @property
    def label(self) -> str:
        """The key as it is written."""
        return ("Ctrl+" if self.ctrl else "") + key_label(self.key)


BINDINGS = (
    Binding("/", "type an event's name", "call", in_world=True, for_events=True),
    Binding("p", "pause", "pause", in_world=True),
    Binding(".", "single step", "step", in_world=True),
    Binding("backspace", "hold to rewind", "rewind", in_world=True),
    Binding("r", "start again", "reset", in_world=True),
    Binding("f5", "start, stop recording", "record", hint="record", in_world=True),
    Binding("f6", "replay the last one", "replay", in_world=True),
    Binding("tab", "next world, same place", "next_world", hint="next world", in_world=True),
    Binding("f1", "status bar", "toggle", "bar"),
    Binding("h", "these keys", "toggle", "keys", hint="keys", always=True),
    Binding("f2", "smooth look", "reproject"),
    Binding("f3", "timeline", "toggle", "timeline"),
    Binding("f11", "full screen", "fullscreen"),
    Binding("f12", "screenshot", "screenshot"),
    Binding("escape", "free the mouse", "free_mouse", always=True),
    Binding("q", "quit", "quit", hint="quit", ctrl=True, always=True),
)


def key_label(key: str) -> str:
    """A key's name in SDL's words, as it is written on keyboards."""
    short = {"escape": "Esc", "left shift": "Shift", "right shift": "right Shift"}
    return short.get(key, key.title() if len(key) > 1 else key.upper())


def bindings_for(scene: Scene | None) -> list[Binding]:
    """The program's keys that a scene has not taken for its own controls."""
    taken = {key.lower() for control in scene.action_space.controls for key in control.keys} if scene else set()
    events = scene is not None and bool(scene.events)
    return [b for b in BINDINGS if (b.ctrl or b.key not in taken) and (events or not b.for_events)]


def scene_rows(scene: Scene) -> list[tuple[str, str]]:
    """Keys and meaning of a scene's own controls, those of an axis positive first, then of its events."""
    rows = [(" ".join(key_label(k) for k in reversed(c.keys)), c.name) for c in scene.controls if c.keys]
    mouse = [c.name for c in scene.controls if c.is_mouse]
    if mouse:
        rows.append(("mouse", ("look" if scene.camera else ", ".join(mouse)) + "; a click holds it"))
    return rows + [(key_label(key), name.replace("_", " ")) for key, name in event_keys(scene)]


def event_keys(scene: Scene) -> list[tuple[str, str]]:
    """The key that calls each event of a scene, and the event's name."""
    return [(c.keys[0], c.name) for c in scene.action_space.controls if c.kind == "event"]


def card_rows(scene: Scene | None) -> list[tuple[str, str]]:
    """Keys and meaning, the scene's own first."""
    program = [(b.label, b.does) for b in bindings_for(scene)]
    return (scene_rows(scene) if scene else []) + program


def hints(scene: Scene | None) -> list[str]:
    """The keys to know first, each with what it does in a word or two."""
    return [f"{b.label} {b.hint}" for b in bindings_for(scene) if b.hint]


def markdown_table(scene: Scene) -> str:
    """The README's table, for the scene whose controls it shows."""
    lines = ["| key | does |", "|---|---|"]
    lines += [f"| {keys} | {does} |" for keys, does in card_rows(scene)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from worldsim.scene import load_scene

    print(markdown_table(load_scene("gallery")), end="")
