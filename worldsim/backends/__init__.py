"""Ways to run a checkpoint's networks at play: plain torch, torch.compile, OpenVINO. Same world, each its own bits."""

from worldsim.backends.choice import Choice, build, choose

__all__ = ["Choice", "build", "choose"]
