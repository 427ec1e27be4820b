"""`worldsim play`: walk through a checkpoint's world, in a window or headless."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from worldsim.cli.arguments import float_in, int_in, report
from worldsim.errors import ConfigError, DisplayError
from worldsim.play.action_sources import action_source, bundled_traces, spawn_for
from worldsim.play.hand import PREFIX
from worldsim.play.spawn_notes import with_events
from worldsim.runtime import BACKENDS
from worldsim.worlds.catalogue import LoadOptions, WorldEntry

if TYPE_CHECKING:
    from worldsim.play.session import TickResult

_DEFAULT_TICKS = 600  # of a headless run that names none: half a minute


HELP = "play a world, in a window or headless"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", nargs="?", default="gallery", help="name or folder of a checkpoint")
    parser.add_argument("--source", action="store_true", help="play the true engine of the checkpoint's scene")
    parser.add_argument("--headless", action="store_true", help="no window")
    parser.add_argument("--realtime", action="store_true", help="headless at the scene's tick rate")
    parser.add_argument("--ticks", type=int_in(0), help="end after so many ticks")
    parser.add_argument("--seed", type=int_in(0, 2**63 - 1), default=0)
    parser.add_argument("--spawn", help="a spawn's name, or any picture file")
    parser.add_argument(
        "--events", type=lambda text: tuple(text.split(",")), default=(), metavar="NAME,...",
        help="events that are under way from the start, as night,fog",
    )  # fmt: skip
    parser.add_argument("--steps", type=int_in(1), help="denoising passes a frame: 1, 2, 4 or 8")
    parser.add_argument("--speculate", type=_speculate, default="auto", metavar="auto|off|COUNT")
    parser.add_argument(
        "--anchor", choices=("frame", "spawn", "off"), default="frame",
        help="what a dream that has drifted begins afresh from: its own last picture, the nearest spawn, nothing",
    )  # fmt: skip
    parser.add_argument(
        "--actions", metavar="random|idle|human|hand:FILE.csv|TRACE",
        help="who plays, if not you: human is bundled synthetic play, hand: the recorded counts of a real mouse",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float_in(0, 5), default=1.0, metavar="DEGREES",
        help="how far a frame may be from the mouse if it was drafted ahead; the rest is carried (default 1)",
    )  # fmt: skip
    parser.add_argument("--record", type=Path, metavar="FILE", help="write a trace")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play a recorded trace")
    parser.add_argument("--video", type=Path, metavar="MP4", help="write a video (headless)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int_in(1, 256), help="for the networks (default: measured once)")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs them (default: the fastest)")
    parser.add_argument("--size", type=_size, default=(960, 622), metavar="WIDTHxHEIGHT")
    parser.add_argument(
        "--sensitivity", type=float_in(0.005, 5), default=0.15, help="degrees of look for one count of the mouse"
    )
    parser.add_argument("--invert-y", action="store_true")
    parser.add_argument("--no-reprojection", action="store_true", help="the look moves with the frames only (F2)")
    parser.add_argument("--no-card", action="store_true", help="do not show the key card")
    parser.add_argument("--recordings", type=Path, default=Path("recordings"), help="folder of F5 and F6")


def _speculate(text: str) -> str:
    if text in ("auto", "off"):
        return text
    if not text.isdigit() or not 1 <= int(text) <= 16:
        raise argparse.ArgumentTypeError(f"must be auto, off or a number of drafts in [1, 16], got {text!r}")
    return text


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and 160 <= int(p) <= 16384 for p in parts):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT of at least 160x160, got {text!r}")
    return int(parts[0]), int(parts[1])


def run(args: argparse.Namespace) -> int:
    from worldsim.worlds.catalogue import SOURCE, find_world

    if args.steps is not None and args.steps not in (1, 2, 4, 8):
        raise ConfigError(f"--steps must be 1, 2, 4 or 8, got {args.steps}")
    if args.replay and args.record:
        raise ConfigError("--replay and --record exclude each other: a replay is already recorded")
    if args.replay and args.events:
        raise ConfigError("--replay and --events exclude each other: a trace says which events began and when")
    entry = find_world(args.checkpoint)
    if args.source and not args.checkpoint.startswith(SOURCE):
        from worldsim.worlds.source import SourceEntry

        entry = SourceEntry(entry.scene.name, entry.scene)
    if args.headless:
        return _headless(args, entry)
    from worldsim.app.window import has_display

    if not has_display():
        print("no display here: playing headless", file=sys.stderr)
        return _headless_show(args, entry)
    try:
        return _window(args, entry)
    except DisplayError as error:
        print(f"{error}; playing headless", file=sys.stderr)
        return _headless_show(args, entry)


def _tolerance_deg(args: argparse.Namespace) -> float:
    """How far a tick's motion may be from the hand's. Scripts, and drafts of a given number, are to be exact."""
    by_hand = args.actions.startswith(PREFIX) if args.actions else not args.headless
    snaps = by_hand and args.speculate == "auto" and not args.no_reprojection
    return float(args.tolerance) if snaps else 0.0


def _headless_show(args: argparse.Namespace, entry: WorldEntry) -> int:
    """What somebody without a screen gets: a video of half a minute of play, and where it lies."""
    if args.video is None and not args.json:
        args.video = Path("recordings") / time.strftime("play-%Y%m%d-%H%M%S.mp4")
    if args.actions is None:
        args.actions = "human" if bundled_traces(entry.scene) else "random"
    return _headless(args, entry)


def _headless(args: argparse.Namespace, entry: WorldEntry) -> int:
    from tqdm import tqdm

    from worldsim.play.headless import play_headless
    from worldsim.play.session import Session, SessionSettings
    from worldsim.play.video import VideoWriter

    if args.replay is not None:
        return _replay(args)
    scene, kind = entry.scene, args.actions or "random"
    actions = action_source(kind, scene, args.seed, args.sensitivity, args.invert_y)
    spawn = with_events(scene, entry.spawn(spawn_for(entry, args.spawn, kind, args.seed)), args.events)
    ticks = _DEFAULT_TICKS if args.ticks is None else args.ticks
    with entry.load(LoadOptions(args.steps, args.threads, args.backend, args.device)) as loaded:
        settings = SessionSettings(
            args.speculate, seed=args.seed, anchor=args.anchor, tolerance_deg=_tolerance_deg(args)
        )
        session = Session(loaded, spawn, settings)
        video = VideoWriter(args.video, scene.frame.width, scene.frame.height, scene.tick_hz) if args.video else None
        if args.record:
            session.record(args.record)
        bar = tqdm(total=ticks, unit="tick", desc=entry.name, disable=args.json)

        def each(result: TickResult) -> None:
            bar.update()
            if video:
                video.write(result.frame.pixels)

        try:
            figures = play_headless(session, actions, ticks, args.realtime, each)
        finally:
            session.close()
            bar.close()
            if video:
                video.close()
    failure = session.take_failure()
    if failure:
        print(failure, file=sys.stderr)
    figures |= {"checkpoint": entry.name, "seed": args.seed, "spawn": spawn.name}
    text = [f"{ticks} ticks of {entry.name} at {figures['fps']:.1f} a second"]
    text += [f"video: {args.video}"] if video else []
    text += [f"trace: {args.record}"] if args.record and not failure else []
    report(args, figures | {"video": str(args.video) if video else None}, "\n".join(text))
    return 1 if failure else 0


def _replay(args: argparse.Namespace) -> int:
    from worldsim.cli import replay

    args.trace, args.verify = args.replay, False
    return replay.run(args)


def _window(args: argparse.Namespace, entry: WorldEntry) -> int:
    from worldsim.app.loop import Desktop
    from worldsim.app.settings import WindowSettings
    from worldsim.checkpoint import checkpoint_names
    from worldsim.engine.protocol import EngineSettings
    from worldsim.play.headless import percentiles
    from worldsim.play.trace import read_trace

    if args.video:
        raise ConfigError("--video needs --headless; in the window record with F5 and use `worldsim replay --video`")
    if args.replay:
        read_trace(args.replay)
    spawn = spawn_for(entry, args.spawn, args.actions, args.seed)
    with_events(entry.scene, entry.spawn(spawn), args.events)  # what is wrong is said before a window opens
    if args.actions:
        action_source(args.actions, entry.scene, args.seed)
    others = [name for name in checkpoint_names() if name != entry.name]
    engine = EngineSettings(
        checkpoint=entry.name, seed=args.seed, spawn=spawn, steps=args.steps, speculate=args.speculate,
        threads=args.threads, backend=args.backend, device=args.device, anchor=args.anchor,
        tolerance_deg=_tolerance_deg(args), events=args.events,
        record=str(args.record) if args.record else None, replay=str(args.replay) if args.replay else None,
    )  # fmt: skip
    settings = WindowSettings(
        size=args.size, sensitivity_deg=args.sensitivity, invert_y=args.invert_y,
        card=False if args.no_card or args.actions else None, checkpoints=(entry.name, *others),
        recordings=args.recordings, reproject=not args.no_reprojection, ticks=args.ticks, actions=args.actions,
    )  # fmt: skip
    played = Desktop(engine, settings, args.started).run()
    result = {
        "ticks": played.ticks, "late": played.late, "first_window_s": round(played.first_window_s, 3),
        "first_frame_s": round(played.first_frame_s, 3), "draft": played.draft,
        "tick_ms": percentiles([t / 1e3 for t in played.tick_ms]),
        "window_ms": percentiles([t / 1e3 for t in played.window_ms]),
        "input_to_display_ms": percentiles([t / 1e3 for t in played.latency.all_ms]),
        "input_to_frame_ms": percentiles([t / 1e3 for t in played.latency.frame_ms]),
        "turn_to_display_ms": percentiles([t / 1e3 for t in played.latency.turn_ms]),
    }  # fmt: skip
    text = f"{played.ticks} ticks, {played.late} late"
    report(args, result, text + (f"; trace: {args.record}" if args.record else ""))
    return 0
