"""Kernels: references against formulas and the model; the Triton ones in its interpreter and through its compiler."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from worldsim.kernels import _triton, bench
from worldsim.kernels._triton import fused
from worldsim.kernels.qk_norm_rotary import qk_norm_rotary, qk_norm_rotary_reference
from worldsim.kernels.rms_modulate import rms_modulate, rms_modulate_reference
from worldsim.kernels.swiglu import swiglu, swiglu_reference
from worldsim.kernels.to_uint8 import to_uint8, to_uint8_reference
from worldsim.model.attention import Block
from worldsim.model.layers import RotarySplit, SwiGlu

KERNELS = [case.name for case in bench.cases(bench.ODD[0], torch.float32)]
WRAPPERS = {
    "rms_modulate": rms_modulate,
    "qk_norm_rotary": qk_norm_rotary,
    "qk_norm_rotary, time": qk_norm_rotary,
    "swiglu": swiglu,
    "to_uint8": to_uint8,
}
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is an extra: pip install 'worldsim[triton]'"
)


def turned(a, b, angle):
    """(a, b) turned by angle, as a complex product."""
    z = torch.complex(a, b) * torch.polar(torch.ones_like(angle), angle)
    return z.real, z.imag


def test_rms_modulate_is_the_formula():
    x, scale, shift = torch.randn(3, 5, 7), torch.randn(3, 1, 7), torch.randn(3, 1, 7)
    by_hand = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + scale) + shift
    assert torch.allclose(rms_modulate_reference(x, scale, shift), by_hand, atol=1e-6)


@pytest.mark.parametrize("head_width", [16, 32, 64])
def test_queries_and_keys_of_a_block_are_the_formula(head_width):
    """Unit RMS, scale, then the split's layout: time first and unturned, azimuth and elevation as one stretch."""
    split = RotarySplit(head_width)
    block = Block(3 * head_width, 3, 33, split)
    torch.nn.init.normal_(block.query_scale)
    torch.nn.init.normal_(block.key_scale)
    x, modulation = torch.randn(2, 7, 3 * head_width), torch.randn(2, 6, 1, 3 * head_width)
    azimuth, elevation = torch.randn(2, 1, 7), torch.randn(2, 1, 7)
    with torch.no_grad():
        tables = split.space_angles(azimuth, elevation, split.space_frequencies)
        made = block.queries_keys_values(x, modulation, *tables)
        projected = block.qkv(rms_modulate_reference(x, modulation[:, 0], modulation[:, 1]))
        raw = projected.view(2, 7, 3, 3, head_width).permute(2, 0, 3, 1, 4)
    around, up = split.space_frequencies.split([split.azimuth, split.elevation])
    first, angle = 2 * split.time, torch.cat([azimuth[..., None] * around, elevation[..., None] * up], dim=-1)
    pairs = angle.shape[-1]
    for got, x, scale in zip(made, raw, (block.query_scale, block.key_scale, None), strict=True):
        if scale is not None:
            x = (x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * scale).detach().clone()
            a, b = x[..., first : first + pairs], x[..., first + pairs : first + 2 * pairs]
            x[..., first : first + 2 * pairs] = torch.cat(turned(a, b, angle), dim=-1)
        assert torch.allclose(got, x, atol=1e-5)


def test_time_tables_turn_the_leading_pairs():
    q, k = torch.randn(2, 2, 3, 7, 16).unbind()
    angle = torch.randn(2, 1, 1, 2)
    space, ones = (torch.ones(1, 1, 7, 5), torch.zeros(1, 1, 7, 5)), torch.ones(16)
    plain = qk_norm_rotary_reference(q, k, ones, ones, space, 2)
    timed = qk_norm_rotary_reference(q, k, ones, ones, space, 2, (angle.cos(), angle.sin()))
    for before, after in zip(plain, timed, strict=True):
        assert torch.equal(after[..., 4:], before[..., 4:])
        by_hand = torch.cat(turned(before[..., :2], before[..., 2:4], angle.expand(2, 3, 7, 2)), dim=-1)
        assert torch.allclose(after[..., :4], by_hand, atol=1e-6)


def test_swiglu_is_that_of_the_feed_forward():
    layer = SwiGlu(48, 33)
    x = torch.randn(2, 7, 48)
    gate, up = layer.gate_and_up(x).split(33, dim=-1)
    assert torch.allclose(swiglu_reference(layer.gate_and_up(x)), gate * gate.sigmoid() * up, atol=1e-6)
    assert torch.equal(layer(x), layer.down(F.silu(gate) * up))


def test_to_uint8_rounds_halves_to_even_and_clamps():
    x = np.linspace(-1.2, 1.2, 3 * 35, dtype=np.float32).reshape(3, 5, 7)
    by_hand = np.rint((x + np.float32(1)) * np.float32(127.5)).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    made = to_uint8_reference(torch.from_numpy(x))
    assert made.is_contiguous() and np.array_equal(made.numpy(), by_hand)


@pytest.mark.parametrize("dtype", bench.TOLERANCE)
def test_on_a_cpu_every_wrapper_is_its_reference(dtype):
    for case in bench.cases(bench.ODD[0], dtype):
        with torch.no_grad():
            assert not fused(case.args[0])
            made, truth = WRAPPERS[case.name](*case.args), case.reference(*case.args)
        assert all(map(torch.equal, bench._outputs(made), bench._outputs(truth))), case.name


@pytest.mark.gpu
@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_runs_fused_kernels_only_if_asked_to(monkeypatch):
    x = torch.zeros(2, 3, device="cuda")
    for value, wanted in ((None, False), ("0", False), ("1", True)):
        monkeypatch.delenv(_triton.SWITCH, raising=False)
        if value is not None:
            monkeypatch.setenv(_triton.SWITCH, value)
        with torch.no_grad():
            assert fused(x) == wanted


def test_fused_kernels_are_off_unless_asked_for(monkeypatch):
    """Whatever the device."""
    monkeypatch.delenv(_triton.SWITCH, raising=False)
    assert not _triton.asked_for()
    monkeypatch.setenv(_triton.SWITCH, "1")
    assert _triton.asked_for()


@pytest.fixture(scope="module")
def interpreted():
    return checks("interpret", TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_kernel_equals_its_reference_in_poisoned_memory(interpreted, kernel):
    assert interpreted[kernel] == []


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_for_a_gpu(tmp_path, capability):
    found = checks("compile", str(capability), TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    assert found == dict.fromkeys(KERNELS, [])


def checks(*arguments: str, **environment: str) -> dict[str, list[str]]:
    """What triton_checks.py finds wrong, in a process of its own: Triton settles how it runs when imported."""
    run = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "triton_checks.py"), *arguments],
        capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@needs_triton
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_benchmark_checks_and_says_why_it_does_not_time():
    command = [sys.executable, "-m", "worldsim.kernels.bench", "--dtype", "float32"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Timing needs a CUDA device" in run.stdout and run.stdout.count("correct") == len(bench.ODD) * len(KERNELS)


@pytest.mark.gpu
@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("sizes", [*bench.ODD, bench.DEFAULT], ids=lambda s: s.name)
@pytest.mark.parametrize("dtype", bench.TOLERANCE)
def test_every_kernel_equals_its_reference_on_a_gpu(sizes, dtype):
    with torch.no_grad():
        assert not [said for case in bench.cases(sizes, dtype, "cuda") if (said := bench.fault(case, sizes, dtype))]


def broken(x):
    raise RuntimeError("out of shared memory")


@pytest.mark.parametrize(
    ("kernel", "word"),
    [
        (lambda x: x + 1e-3, "is wrong"),
        (lambda x: x * float("nan"), "is wrong"),
        (lambda x: x[:1], "is wrong"),
        (broken, "does not run"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_benchmark_refuses_to_time_a_wrong_kernel(monkeypatch, capsys, kernel, word, flags):
    right = bench.Case("right", lambda x: 2 * x, lambda x: x + x, (torch.randn(2, 3),))
    wrong = bench.Case("wrong", lambda x: x, kernel, (torch.randn(2, 3),))
    timed = []
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(bench, "modules", lambda: (None, None))
    monkeypatch.setattr(bench, "cases", lambda sizes, dtype, device: [right, wrong])
    monkeypatch.setattr(bench, "times", lambda case: timed.append(case.name) or {"triton_ms": 0.001})
    assert bench.main(["--dtype", "float32", *flags]) == 1
    out, err = capsys.readouterr()
    assert timed == ["right", "right"]
    assert f"wrong {word} at sizes 'default'" in err and "It is not timed." in err
    if flags:
        assert [r["correct"] for r in json.loads(out)["results"]] == [True, False] * 2
