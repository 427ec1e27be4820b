"""What keys do, by the names that app.bindings gives them. A new command is one function and its line in COMMANDS."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from worldsim.engine.protocol import Record, Reset, Rewind, StartReplay, Swap

if TYPE_CHECKING:
    from worldsim.app.loop import Desktop


def quit_window(desk: Desktop, argument: str) -> None:
    desk.running = False


def free_mouse(desk: Desktop, argument: str) -> None:
    desk.window.capture(False)


def toggle(desk: Desktop, argument: str) -> None:
    """Switch the overlay called `argument` on or off."""
    desk.screen.toggle(argument)


def fullscreen(desk: Desktop, argument: str) -> None:
    desk.window.toggle_fullscreen()


def screenshot(desk: Desktop, argument: str) -> None:
    desk.screen.shot_wanted = True


def reproject(desk: Desktop, argument: str) -> None:
    scene, screen = desk.status.scene, desk.screen
    if scene is not None and scene.camera is None:
        screen.note("there is no camera here, so there is no look to smooth")
        return
    screen.reproject = not screen.reproject
    screen.note(f"smooth look {'on' if screen.reproject else 'off'}")


def pause(desk: Desktop, argument: str) -> None:
    desk.paused = not desk.paused
    desk.latency.forget()


def step(desk: Desktop, argument: str) -> None:
    desk.paused = True
    desk.send_action()


def reset(desk: Desktop, argument: str) -> None:
    desk.engine.send(Reset())


def begin_rewind(desk: Desktop, argument: str) -> None:
    desk.rewind_to = desk.status.tick


def end_rewind(desk: Desktop, argument: str) -> None:
    """Go on from the tick that is shown."""
    if desk.rewind_to is None:
        return
    desk.engine.send(Rewind(desk.rewind_to))
    desk.rewind_to = None
    desk.latency.forget()
    if desk.hands is not None:
        desk.hands.input.release()


def record(desk: Desktop, argument: str) -> None:
    if desk.record_since is not None:
        desk.engine.send(Record(None))
        return
    name = time.strftime(f"{Path(desk.status.checkpoint).name.replace(':', '-')}-%Y%m%d-%H%M%S.jsonl")
    desk.engine.send(Record(str(desk.settings.recordings / name)))


def replay_last(desk: Desktop, argument: str) -> None:
    folder = desk.settings.recordings
    files = sorted(folder.glob("*.jsonl"), key=lambda p: p.stat().st_mtime)
    if not files:
        desk.screen.note(f"nothing has been recorded in {folder} yet; F5 records")
        return
    desk.engine.send(StartReplay(str(files[-1])))


def call(desk: Desktop, argument: str) -> None:
    """The event called `argument` begins with the next tick; without a name, open the line to type one in."""
    if desk.hands is None:
        return
    if not argument:
        desk.hands.input.release()  # letters are no steps
        desk.screen.toggle("event_line")
    elif desk.hands.is_scripted:
        desk.screen.note(f"{argument} is not called: a script plays")
    else:
        desk.hands.input.call(argument)
        desk.latency.touch(time.perf_counter())


def next_world(desk: Desktop, argument: str) -> None:
    names, here = list(desk.settings.checkpoints), desk.status.checkpoint
    if not set(names) - {here}:
        desk.screen.note("there is no other world")
        return
    at = names.index(here) if here in names else -1
    desk.engine.send(Swap(names[(at + 1) % len(names)]))


Command = Callable[["Desktop", str], None]

COMMANDS: dict[str, Command] = {
    "quit": quit_window,
    "free_mouse": free_mouse,
    "toggle": toggle,
    "fullscreen": fullscreen,
    "screenshot": screenshot,
    "reproject": reproject,
    "pause": pause,
    "step": step,
    "reset": reset,
    "rewind": begin_rewind,
    "record": record,
    "replay": replay_last,
    "next_world": next_world,
    "call": call,
}
"""What a key does when it is pressed."""

RELEASED: dict[str, Command] = {"rewind": end_rewind}
"""What it does when it is let go, where that matters."""
