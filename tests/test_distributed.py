"""Two processes train what one trains, and a run goes on with another number of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from support import still_gallery, tool

from worldsim.checkpoint import open_checkpoint
from worldsim.config import to_mapping
from worldsim.model.generator import Generator, GeneratorConfig
from worldsim.model.weights import load_networks, shape_of
from worldsim.train.distributed import Muon, processes

pytest.importorskip("accelerate")


def torchrun(count: int, *arguments: str, cwd) -> list[dict]:
    """Run `worldsim train forcing` under torchrun; the log's rows."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    done = subprocess.run(
        [*command, "-m", "worldsim", "train", "forcing", str(cwd / "scene.yaml"), "--name", "r", "--threads", "1",
         "--clips", "4", "--clip-frames", "5", "--out", str(cwd / "runs"), "--data", str(cwd), *arguments],
        capture_output=True, text=True, timeout=400, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in (cwd / "runs" / "r" / "forcing" / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def begin(nonsense_episodes, scene, checkpoint_folder, tmp_path_factory):
    """Makes folders for a run with the small checkpoint as its start, beside the episodes."""

    def make(name):
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(nonsense_episodes / "train", folder / "train")
        shutil.copytree(nonsense_episodes / "held_out", folder / "held_out")
        shutil.copytree(checkpoint_folder, folder / "runs" / "r")
        (folder / "scene.yaml").write_text(yaml.safe_dump(to_mapping(scene)))
        return folder

    return make


def curve(rows: list[dict]) -> tuple[list[int], np.ndarray]:
    return [r["step"] for r in rows], np.array([r["loss"] for r in rows])


@pytest.mark.slow
def test_two_processes_train_like_one_and_go_on_as_one(begin):
    steps = ["--steps", "40"]
    one, two, sharded = begin("one"), begin("two"), begin("sharded")
    numbers, alone = curve(torchrun(1, *steps, cwd=one))
    assert numbers == [20, 40]
    for folder, more in ((two, ()), (sharded, ("--shard",))):
        numbers, together = curve(torchrun(2, *steps, *more, cwd=folder))
        assert numbers == [20, 40] and np.allclose(alone, together, rtol=0.02), (alone, together)
    made, expected = (load_networks(open_checkpoint(str(f / "runs" / "r")))[1].state_dict() for f in (sharded, one))
    assert all((made[k] - expected[k]).abs().max() < 0.02 for k in expected)
    others = ((two, 1, ()), (sharded, 1, ()), (one, 2, ("--shard",)))
    last = [torchrun(count, "--resume", "--steps", "60", *more, cwd=folder)[-1] for folder, count, more in others]
    assert all(row["step"] == 60 and np.isclose(row["loss"], last[0]["loss"], rtol=0.02) for row in last), last


def small_generator(seed: int) -> Generator:
    """Of random weights, such that all of them matter."""
    torch.manual_seed(seed)
    config = GeneratorConfig(width=32, depth=2, heads=2, hidden=32, window=2)
    made = Generator(config, shape_of(still_gallery(), 4))
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return made


def loss_of(generator: Generator, rows: slice) -> torch.Tensor:
    """A loss of every parameter but those of odometry and transitions, on some of two clips of four frames."""
    random = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(2, *shape, generator=random)[rows]

    count, tokens = 5, generator.shape.rows * generator.shape.columns
    poses, action, posed = draw(count, 4), draw(count, generator.shape.actions), draw(count)
    condition = replace(
        generator.shape.still(poses.flatten(0, 1)), action=action.flatten(0, 1), posed=posed.flatten()
    )  # fmt: skip
    level = draw(count).sigmoid()
    made, seen = generator.teacher_forcing(
        draw(count, tokens, 4), level, draw(count - 2, tokens, 4), level[:, 2:], condition
    )  # fmt: skip
    return made.square().mean() + seen.abs().mean()


def compare_with_whole(rank: int, port: int) -> None:
    """One of two processes: a step on a clip each with sharded blocks is the step on both with whole ones."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    plain, model = small_generator(0), small_generator(rank)
    dist = processes("cpu").sharding()
    dist.shard(model)  # the first process's weights become everybody's
    blocks = dict(model.blocks.named_parameters())
    held, whole = sum(p.numel() for p in dist.local(blocks.values())), sum(p.numel() for p in blocks.values())
    assert held == whole // 2 == sum(p.numel() for p in plain.blocks.parameters()) // 2
    norms = []
    for network, rows in ((model, slice(rank, rank + 1)), (plain, slice(None))):
        with torch.no_grad():
            loss_of(network, rows)  # rollouts come before the pass that is learned from
        loss_of(network, rows).backward()
        params, matrices = list(network.parameters()), [p for p in network.blocks.parameters() if p.ndim == 2]
        if network is model:
            dist.after_backward(params)
            norms.append(dist.clip(params, 0.01))
            dist.muon(matrices, 0.02, 0.01).step()
        else:
            norms.append(torch.nn.utils.clip_grad_norm_(params, 0.01))
            torch.optim.Muon(matrices, lr=0.02, weight_decay=0.01).step()
    assert torch.allclose(*norms, rtol=1e-4) and norms[0] > 0.01, norms
    expected = dict(plain.named_parameters())
    gradients = dist.gather({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert rank or gradients.keys() == {n for n, p in expected.items() if p.grad is not None}
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, expected[name].grad, rtol=1e-3, atol=1e-7), name
    with dist.gathered_weights(model):
        if rank == 0:  # alone: none of this may wait for the other
            stepped = model.state_dict()
            assert all(torch.allclose(stepped[n], p, atol=1e-3) for n, p in expected.items())
            assert torch.allclose(loss_of(model, slice(None)), loss_of(plain, slice(None)), rtol=1e-3)
    assert all(dist.local([p])[0].shape != p.shape for p in model.blocks.parameters())
    for parameter in model.blocks.parameters():
        assert torch.equal(*dist.local([parameter, dist.shard_like(parameter.detach().full_tensor(), parameter)]))
    dist.close()


def test_each_of_two_processes_holds_half_of_every_block():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(compare_with_whole, (port,), nprocs=2)


def test_sharding_what_trains_no_block_is_one_sentence(tmp_path):
    done = tool("train", "codec", "gallery", "--shard", "--out", str(tmp_path))
    assert done.returncode == 2 and "--shard is for the stages that train a generator's blocks" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24)])
def test_muon_takes_the_step_of_torchs_own(shape):
    """Torch's own may change or go: ours must not."""
    torch_muon = pytest.importorskip("torch.optim").Muon
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    mine, its = Muon([ours], 0.02, 0.01), torch_muon([theirs], lr=0.02, weight_decay=0.01)
    for _ in range(3):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        mine.step()
        its.step()
        assert torch.equal(ours, theirs)
