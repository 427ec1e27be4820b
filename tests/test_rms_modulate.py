from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from worldsim.kernels.rms_modulate import rms_modulate, rms_modulate_reference


def test_the_reference_is_the_formula():
    x, scale, shift = torch.randn(3, 5, 7), torch.randn(3, 1, 7), torch.randn(3, 1, 7)
    by_hand = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + scale) + shift
    assert torch.allclose(rms_modulate_reference(x, scale, shift), by_hand, atol=1e-6)
    assert torch.equal(rms_modulate(x, scale, shift), rms_modulate_reference(x, scale, shift))


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is an extra")
def test_the_kernel_equals_the_reference_under_the_interpreter():
    code = """
import torch
from worldsim.kernels import rms_modulate as k
for shape in ((1, 60, 64), (2, 7, 33), (3, 1, 1)):
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 4e-3)):
        x = torch.randn(shape).to(dtype)
        scale, shift = (torch.randn(shape[0], 1, shape[2]).to(dtype) for _ in range(2))
        real = torch.empty_like
        torch.empty_like = lambda t: torch.full_like(t, float("nan"))  # every element must be written
        made = k.rms_modulate_triton(x, scale, shift)
        torch.empty_like = real
        truth = k.rms_modulate_reference(x.float(), scale.float(), shift.float())
        assert torch.allclose(made.float(), truth, atol=tolerance, rtol=tolerance), (shape, dtype)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "TRITON_INTERPRET": "1"})
