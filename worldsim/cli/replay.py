"""`worldsim replay`: run a trace again and say whether every frame came out the same."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from worldsim.cli.arguments import report

HELP = "replay a recorded trace and verify it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", type=Path)
    parser.add_argument("--verify", action="store_true", help="exit with 1 if a frame differs")
    parser.add_argument("--video", type=Path, metavar="MP4", help="write the frames as a video")


def run(args: argparse.Namespace) -> int:
    from worldsim.play.replay import Replay
    from worldsim.play.trace import read_trace
    from worldsim.play.video import VideoWriter

    trace = read_trace(args.trace)
    with Replay(trace, args.trace) as replay:
        video = None
        if args.video:
            frame = replay.session.scene.frame
            video = VideoWriter(args.video, frame.width, frame.height, trace.header.tick_hz)
            video.write(replay.session.frame.pixels)
        replayed = replay.run((lambda frame: video.write(frame.pixels)) if video else (lambda frame: None))
        if video:
            video.close()
    if replayed.identical:
        text = f"{replayed.ticks} ticks, every frame identical"
    else:
        off = "" if replayed.psnr_db is None else f", {replayed.psnr_db:.1f} dB at the next stored picture"
        text = f"{replayed.ticks} ticks; the first that differs is tick {replayed.first_difference}{off}"
    if replayed.incomparable:
        text += f" (not comparable bit for bit: {replayed.incomparable})"
    report(args, {"trace": str(args.trace), **asdict(replayed)}, text)
    return 1 if args.verify and not replayed.identical else 0
