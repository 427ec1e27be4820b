from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from support import make_checkpoint, tool

from worldsim.checkpoint import (
    checkpoint_names,
    copy_checkpoint,
    file_hash,
    find_checkpoint,
    open_checkpoint,
    read_checkpoint,
    save_scores,
)
from worldsim.config import from_mapping, mapping_hash, without_defaults
from worldsim.errors import CheckpointError, SpawnError
from worldsim.model.codec import CodecConfig
from worldsim.model.format_1 import migrate
from worldsim.model.generator import GeneratorConfig
from worldsim.model.weights import load_networks
from worldsim.scene import former_scene_hash, scene_hash


@pytest.fixture
def folder(checkpoint_folder, tmp_path):
    return shutil.copytree(checkpoint_folder, tmp_path / "copy")


def rewrite(folder, change):
    path = folder / "world.yaml"
    data = yaml.safe_load(path.read_text())
    change(data)
    path.write_text(yaml.safe_dump(data))


def test_loading_inverts_saving(folder, tmp_path):
    """Up to the rounding to half precision that shipping costs."""
    codec, generator = load_networks(open_checkpoint(str(folder)))
    stored = load_file(folder / "generator.safetensors")
    for name, value in generator.state_dict().items():
        assert torch.equal(value, stored[name].float())
    twin = make_checkpoint(tmp_path / "twin", seed=0)
    assert open_checkpoint(str(twin)).sha256 == open_checkpoint(str(folder)).sha256


def test_any_change_of_a_file_is_noticed(folder):
    for file in ("generator.safetensors", "codec.safetensors", "spawns/a.png"):
        data = bytearray((folder / file).read_bytes())
        data[-3] ^= 1
        (folder / file).write_bytes(data)
        with pytest.raises(CheckpointError, match=f"{file} is damaged"):
            open_checkpoint(str(folder))
        data[-3] ^= 1
        (folder / file).write_bytes(data)
    (folder / "codec.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"codec.safetensors is missing"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format=3), "format is 3, this version of worldsim reads format 2"),
        (lambda d: d.update(format=1), "format is 1; run `worldsim checkpoints --migrate"),
        (lambda d: d["files"].update({"../secret": "0" * 64}), "files must lie inside the checkpoint's folder"),
        (lambda d: d["files"].update({"/etc/passwd": "0" * 64}), "files must lie inside the checkpoint's folder"),
        (lambda d: d["spawns"][0].update(file="../../picture.png"), "file must be a name inside the folder spawns"),
        (lambda d: d["files"].pop("spawns/a.png"), "files must list spawns/a.png"),
        (lambda d: d.update(scores=3), "scores must be a mapping"),
        (lambda d: d["scene"].update(tick_hz=30), "scene is not the one of scene_sha256"),
        (lambda d: d.update(generater={}), "generater is unknown, did you mean 'generator'"),
    ],
)
def test_a_wrong_description_is_one_sentence(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(str(folder))


def test_missing_and_misshapen_tensors_are_named(folder):
    tensors = load_file(folder / "generator.safetensors")
    bias = tensors.pop("token_out.bias")

    def store(extra):
        save_file({**tensors, **extra}, folder / "generator.safetensors")
        mark = file_hash(folder / "generator.safetensors")
        rewrite(folder, lambda d: d["files"].update({"generator.safetensors": mark}))

    for extra, message in (
        ({}, "token_out.bias is missing"),
        ({"token_out.bias": bias[:3].clone()}, "token_out.bias must have shape"),
        ({"token_out.bias": bias, "extra": bias.clone()}, "tensor extra is unknown"),
    ):
        store(extra)
        with pytest.raises(CheckpointError, match=message):
            load_networks(open_checkpoint(str(folder)))


def test_spawns_come_by_name_or_as_any_picture(folder, tmp_path):
    checkpoint = open_checkpoint(str(folder))
    assert checkpoint.spawn(None).name == "a" and checkpoint.spawn("a").pose.x == 4.0
    assert checkpoint.spawn("b").pose is None
    Image.new("L", (70, 900), 77).save(tmp_path / "grey.png")
    own = checkpoint.spawn(str(tmp_path / "grey.png"))
    assert own.pixels.shape == (96, 160, 3) and (own.pixels == 77).all() and own.pose is None
    (tmp_path / "no.png").write_text("no picture")
    for name in ("c", str(tmp_path / "no.png")):
        with pytest.raises(SpawnError):
            checkpoint.spawn(name)


def test_an_unknown_checkpoint_names_the_nearest():
    with pytest.raises(CheckpointError, match="no checkpoint is called 'galery'"):
        find_checkpoint("galery")


@pytest.mark.parametrize("name", checkpoint_names())
def test_every_shipped_checkpoint_is_whole(name):
    checkpoint = open_checkpoint(name)
    codec, generator = load_networks(checkpoint)
    assert len(checkpoint.info.spawns) >= 6 and checkpoint.info.provenance
    assert all(torch.isfinite(p).all() for p in (*codec.parameters(), *generator.parameters()))
    assert all(f.stat().st_size < 16 * 2**20 for f in checkpoint.path.rglob("*") if f.is_file())


class Killed(BaseException):
    """What no handler catches: the process is gone."""


STEPS = ((os, "replace"), (os, "fsync"), (Path, "unlink"), (Path, "write_text"))


def killed_at(count, monkeypatch, write):
    """Run `write` until the beginning or the end of one of its steps on disk. Returns whether it was reached."""
    seen = 0

    def step():
        nonlocal seen
        seen += 1
        if seen == count + 1:
            raise Killed

    with monkeypatch.context() as patch:
        for owner, name in STEPS:

            def counted(*arguments, real=getattr(owner, name), **named):
                step()
                done = real(*arguments, **named)
                step()
                return done

            patch.setattr(owner, name, counted)
        try:
            write()
        except Killed:
            return True
    return False


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("way", ["export", "promote"])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_checkpoint_whole(
    way, checkpoint_folder, other_folder, tmp_path, monkeypatch
):
    """And the next one that is written leaves nothing behind."""
    old, new = (open_checkpoint(str(f)).sha256 for f in (checkpoint_folder, other_folder))
    found = []
    for count in range(100):
        target = shutil.copytree(checkpoint_folder, tmp_path / str(count) / other_folder.name)
        state = target / "forcing" / "state.part"
        state.parent.mkdir()
        state.write_text("of a training stage")

        def write(target=target):
            if way == "export":
                make_checkpoint(target, seed=1)
            else:
                copy_checkpoint(open_checkpoint(str(other_folder)), target)

        killed = killed_at(count, monkeypatch, write)
        checkpoint = open_checkpoint(str(target))
        checkpoint.spawn("a")
        found.append(checkpoint.sha256)
        write()
        assert open_checkpoint(str(target)).sha256 == new and state.exists()
        assert [n for n in names(target) if not n.startswith("forcing")] == names(other_folder)
        if not killed:
            break
    before = found.index(new)
    assert 8 < before < len(found) - 8 and found == [old] * before + [new] * (len(found) - before)


def test_scores_are_saved_without_another_identity(folder):
    before = open_checkpoint(str(folder))
    save_scores(before, {"quality": {"psnr_db": {1: 30.0}}})
    after = open_checkpoint(str(folder))
    assert after.info.scores == {"quality": {"psnr_db": {"1": 30.0}}} and after.sha256 == before.sha256


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["codec"].update(channels=9),
        lambda d: d["generator"].update(window=5),
        lambda d: d["generator"]["place"].update(samples=13),
        lambda d: d["sampler"].update(steps=4),
        lambda d: d["sampler"].update(context_level=0.2),
        lambda d: d.update(latent_range={"rms": [0.0, 1.0]}),
        lambda d: d["spawns"][0].update(pose=[1.0, 2.0, 3.0, 4.0]),
        lambda d: d["files"].update({"codec.safetensors": "0" * 64}),
        lambda d: (d["scene"].update(tick_hz=30.0), d.update(scene_sha256=mapping_hash(d["scene"]))),
    ],
)
def test_all_that_determines_frames_is_part_of_the_hash(folder, change):
    before = read_checkpoint(folder).sha256
    rewrite(folder, change)
    assert read_checkpoint(folder).sha256 != before


def test_name_provenance_and_scores_are_no_part_of_the_hash(folder):
    before = read_checkpoint(folder).sha256
    rewrite(folder, lambda d: d.update(name="x", provenance=[{"stage": "codec"}], scores={"a": 1}))
    assert read_checkpoint(folder).sha256 == before


def test_every_value_is_written(folder):
    """A default that changes later changes no checkpoint that exists."""
    data = yaml.safe_load((folder / "world.yaml").read_text())
    assert data["codec"].keys() == {"channels", "encoder_widths", "decoder_widths"}
    assert data["sampler"] == {"steps": 2, "context_level": 0.1} and data["generator"]["sink"] == 1
    assert data["scene"]["camera"]["fov_deg"] == 60.0 and data["scene"]["source"]["rooms"][0]["ceiling"]


def test_a_setting_that_a_later_version_adds_leaves_the_hash(folder):
    """As if `positions` had been added since: where it is not stored it is at its default."""
    rewrite(folder, lambda d: d["generator"].pop("positions"))
    stored = read_checkpoint(folder)
    rewrite(folder, lambda d: d.update(scores={"a": 1}))
    assert read_checkpoint(folder).sha256 == stored.sha256
    load_networks(open_checkpoint(str(folder)))


def as_format_1(info):
    """What format 1 wrote: nothing that is at its default, and the former hash of the scene."""
    parts = {"codec": CodecConfig, "generator": GeneratorConfig}
    short = {key: without_defaults(from_mapping(kind, getattr(info, key), "")) for key, kind in parts.items()}
    return {**without_defaults(info), **short, "format": 1, "scene_sha256": former_scene_hash(info.scene)}


def test_a_checkpoint_of_format_1_is_migrated_once(folder):
    """Its weights stay as they are, what it left out is written, and it remembers the hash it had."""
    today = open_checkpoint(str(folder))
    (folder / "world.yaml").write_text(yaml.safe_dump(as_format_1(today.info)))
    with pytest.raises(CheckpointError, match="format is 1; run `worldsim checkpoints --migrate"):
        open_checkpoint(str(folder))
    before = {n: file_hash(folder / n) for n in names(folder) if n != "world.yaml"}
    first, second = (tool("checkpoints", "--migrate", str(folder)) for _ in range(2))
    assert "is now of format 2; traces of" in first.stdout and "is already of format 2" in second.stdout
    assert before == {n: file_hash(folder / n) for n in names(folder) if n != "world.yaml"}
    migrated = open_checkpoint(str(folder))
    assert migrated.sha256 == today.sha256 and len(migrated.info.former_sha256) == 1
    assert replace(migrated.info, former_sha256=()) == today.info


def test_the_description_of_a_checkpoint_that_shipped_in_format_1_is_migrated(tmp_path):
    """A file as it was written then."""
    shutil.copy(Path(__file__).parent / "data" / "format-1.yaml", tmp_path / "world.yaml")
    assert migrate(tmp_path) and not migrate(tmp_path)
    info = read_checkpoint(tmp_path).info
    assert [mark[:12] for mark in info.former_sha256] == ["7aac059ffbe8"] and not info.scene.events
    assert info.scene_sha256 == scene_hash(info.scene) and len(info.spawns) >= 6


def test_a_damaged_checkpoint_of_format_1_is_left_as_it_is(tmp_path):
    former = yaml.safe_load((Path(__file__).parent / "data" / "format-1.yaml").read_text())
    former["scene"]["tick_hz"] = 30.0
    text = yaml.safe_dump(former)
    (tmp_path / "world.yaml").write_text(text)
    done = tool("checkpoints", "--migrate", str(tmp_path))
    assert done.returncode == 2 and "the scene is not the one of scene_sha256" in done.stderr
    assert (tmp_path / "world.yaml").read_text() == text
