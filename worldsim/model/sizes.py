"""The sizes generators come in."""

from __future__ import annotations

from worldsim.model.generator import GeneratorConfig
from worldsim.model.place_memory import PlaceConfig

MODELS = {
    "default": GeneratorConfig(
        width=128, depth=2, hidden=256, place=PlaceConfig(fine_m=0.125, fine_features=6, hidden=384, depth=1)
    ),
    "tiny": GeneratorConfig(width=64, depth=2, hidden=128, place=PlaceConfig(hidden=256, depth=1)),
    # About Next-Frame Diffusion's shape (Cheng et al. 2025): 310 M parameters, 32 frames of context; for 384x224 frames
    # (336 tokens) at 4 steps, on a GPU.
    "large": GeneratorConfig(
        width=1024, depth=16, heads=16, hidden=2816, window=31, place=PlaceConfig(width=512, hidden=1024)
    ),
}
LARGE_FRAME, LARGE_STEPS = (384, 224), 4
WIDE = 512  # from this width on, play in bfloat16 pays, and processes that train together share out the blocks
