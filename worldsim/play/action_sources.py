"""Where the actions of scripted play come from: random, idle, bundled synthetic play, a recorded hand, or a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from worldsim.action import Action, ActionSpace
from worldsim.errors import TraceError, shown
from worldsim.play.hand import PREFIX, recorded_hand
from worldsim.play.trace import Record, read_trace
from worldsim.scene import Scene
from worldsim.source.player import StickyPlayer
from worldsim.worlds.catalogue import WorldEntry

BUNDLED = Path(__file__).parent.parent / "traces"


def action_source(
    kind: str, scene: Scene, seed: int, sensitivity_deg: float = 0.15, invert_y: bool = False
) -> Iterator[Action]:
    """Endless actions. kind: `random`, `idle`, `human` (synthetic human-like play that ships with some scenes),
    `hand:FILE.csv` (a `Hand`), or the path of a trace; files repeat. Raises TraceError.

    sensitivity_deg, invert_y: of a recorded hand, as of the window's mouse.
    """
    if kind.startswith(PREFIX):
        return recorded_hand(Path(kind.removeprefix(PREFIX)), scene, sensitivity_deg, invert_y)
    if kind == "idle":
        return _repeat([scene.action_space.idle])
    if kind == "random":
        return _random(scene, seed)
    if kind == "human":
        files = bundled_traces(scene)
        if not files:
            raise TraceError(
                f"no synthetic human-like play ships for scene {scene.name}; "
                "give --actions random, idle, hand:FILE.csv, or the file of a trace"
            )
        return _repeat(trace_actions(files[seed % len(files)], scene))
    return _repeat(trace_actions(Path(kind), scene))


def bundled_traces(scene: Scene) -> list[Path]:
    """The synthetic human-like play that ships for a scene."""
    return sorted(BUNDLED.glob(f"synthetic-{scene.name}-*.jsonl"))


def spawn_for(entry: WorldEntry, asked: str | None, actions: str | None, seed: int) -> str | None:
    """The spawn asked for; else, for bundled play, the one it began at, if the world has it; None for the first."""
    files = bundled_traces(entry.scene) if asked is None and actions == "human" else []
    if not files:
        return asked
    wanted = str(read_trace(files[seed % len(files)]).header.spawn["name"])
    return wanted if wanted in entry.spawn_names else None


def trace_actions(path: Path, scene: Scene) -> list[Action]:
    """The actions of a trace, by the names of its controls. What the scene has besides, as events that were added to it
    later, rests. Raises TraceError, also if the scene lacks a control of the trace."""
    trace, space = read_trace(path), scene.action_space
    names = trace.header.controls
    positions = [space.index(name) if isinstance(name, str) else None for name in names]
    if None in positions:
        lacking = [name for name, at in zip(names, positions, strict=True) if at is None]
        raise TraceError(
            f"{path} has the controls {shown(lacking)}, which scene {scene.name} lacks; "
            f"it has {', '.join(c.name for c in space.controls)}"
        )
    part = ActionSpace(tuple(space.controls[at] for at in positions if at is not None))

    def widened(record: Record) -> Action:
        action = part.check(record.data.get("action"), f"{path}, line {record.seq + 2}")
        return space.make(**dict(zip(names, action.values, strict=True)))

    actions = [widened(r) for r in trace.records if r.kind == "tick"]
    if not actions:
        raise TraceError(f"{path} has no ticks")
    return actions


def _repeat(actions: list[Action]) -> Iterator[Action]:
    while True:
        yield from actions


def _random(scene: Scene, seed: int) -> Iterator[Action]:
    player = StickyPlayer(scene.action_space, seed)
    while True:
        yield player.act()
