"""Replays: of traces older than today's checkpoints, of damaged ones, and of very many."""

from __future__ import annotations

from pathlib import Path

from worldsim.play.replay import Replay
from worldsim.play.trace import read_trace

BEFORE = Path(__file__).parent / "data" / "before-format-2.jsonl"


def test_a_trace_older_than_the_checkpoints_format_replays():
    """It names the checkpoint by the hash of format 1. Bit for bit where the numerics are the same."""
    with Replay(read_trace(BEFORE), BEFORE) as replay:
        done = replay.run()
    assert done.ticks == 40
    assert done.identical or (done.incomparable and done.psnr_db > 60), done
