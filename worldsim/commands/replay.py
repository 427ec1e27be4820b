"""`worldsim replay`: run a trace again and say whether every frame came out the same."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from worldsim.cli import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", type=Path)
    parser.add_argument("--verify", action="store_true", help="exit with 1 if a frame differs")
    parser.add_argument("--video", type=Path, metavar="MP4", help="write the frames as a video")


def run(args: argparse.Namespace) -> int:
    from worldsim.replay import Replay
    from worldsim.trace import read_trace
    from worldsim.video import VideoWriter

    trace = read_trace(args.trace)
    replay = Replay(trace, args.trace)
    video = None
    if args.video:
        frame = replay.session.scene.frame
        video = VideoWriter(args.video, frame.width, frame.height, trace.header.tick_hz)
        video.write(replay.session.frame.pixels)
    result = replay.run((lambda frame: video.write(frame.pixels)) if video else (lambda frame: None))
    if video:
        video.close()
    if result.identical:
        text = f"{result.ticks} ticks, every frame identical"
    else:
        off = "" if result.psnr_db is None else f", {result.psnr_db:.1f} dB at the next stored picture"
        text = f"{result.ticks} ticks; the first that differs is tick {result.first_difference}{off}"
    if result.incomparable:
        text += f" (not comparable bit for bit: {result.incomparable})"
    report(args, {"trace": str(args.trace), **asdict(result)}, text)
    return 1 if args.verify and not result.identical else 0
