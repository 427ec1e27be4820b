"""Two processes train what one trains, and a run goes on with another number of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("accelerate")


def torchrun(count: int, *arguments: str, cwd) -> list[dict]:
    """Run `worldsim train forcing` under torchrun; the log's rows."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    done = subprocess.run(
        [*command, "-m", "worldsim", "train", "forcing", "gallery", "--name", "r", "--threads", "1", "--clips", "4",
         "--clip-frames", "5", "--out", str(cwd / "runs"), "--data", str(cwd), *arguments],
        capture_output=True, text=True, timeout=400, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in (cwd / "runs" / "r" / "forcing" / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_train_like_one_and_go_on_as_one(nonsense_episodes, checkpoint_folder, tmp_path_factory):
    def begin(name):
        """A run with the small checkpoint as its start, beside the episodes."""
        import shutil

        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(nonsense_episodes / "train", folder / "train")
        shutil.copytree(nonsense_episodes / "held_out", folder / "held_out")
        shutil.copytree(checkpoint_folder, folder / "runs" / "r")
        return folder

    steps = ["--steps", "40"]
    one, two = begin("one"), begin("two")
    alone, together = torchrun(1, *steps, cwd=one), torchrun(2, *steps, cwd=two)
    assert [r["step"] for r in alone] == [r["step"] for r in together] == [20, 40]
    curves = np.array([[r["loss"] for r in rows] for rows in (alone, together)])
    assert np.allclose(curves[0], curves[1], rtol=0.02), curves
    further = torchrun(1, "--resume", "--steps", "60", cwd=two)
    assert further[-1]["step"] == 60
