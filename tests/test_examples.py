"""The examples run, the pages about the code are in step with it, and a user of the library needs three lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(*command: str, cwd: Path, timeout: float = 240) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_world_is_opened_and_played_from_three_lines(checkpoint_folder):
    from worldsim import Session, open_world

    session = Session(open_world(str(checkpoint_folder)))
    frame = session.advance(session.scene.action_space.make(walk=1)).frame
    assert frame.tick == 1 and frame.pixels.shape == (96, 160, 3)


def test_the_library_offers_what_it_says():
    import worldsim

    assert all(getattr(worldsim, name) is not None for name in worldsim.__all__)
    with pytest.raises(AttributeError, match="open_world"):
        _ = worldsim.open_wurld


def test_playing_headless_leaves_a_clip(checkpoint_folder, tmp_path):
    run(str(EXAMPLES / "play_headless.py"), str(checkpoint_folder), "clip.mp4", "12", cwd=tmp_path)
    assert (tmp_path / "clip.mp4").stat().st_size > 1000


def test_a_driven_session_branches_and_replays(checkpoint_folder, tmp_path):
    said = run(str(EXAMPLES / "drive_a_session.py"), str(checkpoint_folder), cwd=tmp_path)
    assert "every frame identical" in said


@pytest.mark.slow
def test_a_tiny_world_is_trained(tmp_path):
    said = run(str(EXAMPLES / "train_tiny_world.py"), "0.05", str(tmp_path / "run"), cwd=tmp_path)
    assert "dreamed 40 ticks" in said


def test_the_list_of_files_is_in_step(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import tree

    assert tree.page() == tree.PAGE.read_text(), "run: python docs/tree.py"
