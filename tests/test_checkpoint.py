from __future__ import annotations

import shutil

import pytest
import torch
import yaml
from conftest import make_checkpoint
from PIL import Image
from safetensors.torch import load_file, save_file

from worldsim.checkpoint import checkpoint_names, file_hash, find_checkpoint, open_checkpoint
from worldsim.errors import CheckpointError, SpawnError
from worldsim.model.weights import load_networks


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
        (lambda d: d.update(format=2), "format is 2, this version of worldsim reads format 1"),
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
