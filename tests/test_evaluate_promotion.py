"""A run is promoted only if every part allows it, by scores of the promotion's own walks, and as a whole folder."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace

import pytest

from worldsim.checkpoint import Checkpoint, open_checkpoint, save_scores
from worldsim.errors import CheckpointError
from worldsim.evaluate.promotion import MARGIN, judge


def figure(value: float) -> dict[str, float]:
    return {"dream": value}


SCORES = {
    "quality": {"sizes": {"rollouts": 4, "steps": 2}, "psnr_db_at_1": figure(30.0), "sharpness_at_1": figure(0.8)},
    "control": {"sizes": {"walks": 4}, "yaw_error_ratio": figure(0.05), "motion_f1": figure(0.8)},
    "memory": {"sizes": {"starts": 8}, "loop_psnr_db": figure(29.0), "trip_psnr_db": figure(30.0)},
    "persistence": {"sizes": {"starts": 8}, "patch_kept_after_1": figure(0.1)},
    "drift": {"sizes": {"ticks": 400}, "psnr_believed_db_last": figure(28.0), "collapsed": False},
}


def scored(checkpoint: Checkpoint, **parts: dict) -> Checkpoint:
    scores = {"promotion": {part: {**found, **parts.get(part, {})} for part, found in SCORES.items()}}
    return replace(checkpoint, info=replace(checkpoint.info, scores=scores))


@pytest.fixture
def small(checkpoint_folder):
    return open_checkpoint(str(checkpoint_folder))


def test_better_in_all_is_promoted(small):
    better = scored(small, quality={"psnr_db_at_1": figure(30.2)})
    assert judge(better, scored(small)).reason is None
    assert judge(scored(small), None).reason is None


def test_no_better_is_refused(small):
    assert "no more than the shipped" in (judge(scored(small), scored(small)).reason or "")


def test_much_better_in_one_part_does_not_pay_for_another(small):
    run = scored(small, quality={"psnr_db_at_1": figure(39.0)}, drift={"psnr_believed_db_last": figure(27.0)})
    assert (
        f"margin of {MARGIN}" in (judge(run, scored(small)).reason or "")
        and "drift" in judge(run, scored(small)).reason
    )


def test_a_little_worse_in_one_part_is_within_the_margin(small):
    run = scored(small, quality={"psnr_db_at_1": figure(31.0)}, drift={"psnr_believed_db_last": figure(27.8)})
    assert judge(run, scored(small)).reason is None


@pytest.mark.parametrize("part", SCORES)
def test_a_part_that_was_not_measured_is_an_error(small, part):
    run = scored(small)
    del run.info.scores["promotion"][part]
    with pytest.raises(CheckpointError, match=f"no {part} scores.*--seeds promote --save"):
        judge(run, scored(small))


def test_a_reports_scores_do_not_promote(small):
    run = replace(small, info=replace(small.info, scores=SCORES))
    with pytest.raises(CheckpointError, match="no quality scores"):
        judge(run, None)


def test_other_sizes_do_not_compare(small):
    with pytest.raises(CheckpointError, match="measured with rollouts 8"):
        judge(scored(small, quality={"sizes": {"rollouts": 8}}), scored(small))


def test_promoting_replaces_the_whole_folder(small, tmp_path, monkeypatch):
    from worldsim.cli import checkpoints

    run, target = tmp_path / "run", tmp_path / "shipped" / "small"
    shutil.copytree(small.path, run)
    save_scores(open_checkpoint(str(run)), scored(small).info.scores)
    (run / "state.safetensors").write_bytes(b"of the training")
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", tmp_path / "shipped")
    assert checkpoints.run(argparse.Namespace(promote=str(run), name="small", json=True, migrate=None)) == 0
    assert open_checkpoint(str(target)).sha256 == small.sha256
    assert open_checkpoint(str(target)).info.scores == scored(small).info.scores
    assert {p.name for p in target.iterdir()} == {"world.yaml", "codec.safetensors", "generator.safetensors", "spawns"}
    assert [p.name for p in target.parent.iterdir()] == ["small"]
