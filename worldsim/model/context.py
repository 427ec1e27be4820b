"""What the generator remembers: keys and values of past frames, and how they are laid out for a new one.

A frame's keys and values are made once, when it is committed, and never changed. For a new frame they are assembled in
logical order, sink first, then oldest to newest, and rotated in time by their slot. Always full length: a start
picture fills every slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worldsim.model.layers import RotarySplit

FrameKeys = Tensor
"""Keys, rotated in space, not in time, and values of a committed frame: (2, layers, B, heads, N, d)."""


@dataclass(frozen=True)
class Context:
    """The frames a new frame attends to: one sink and a window, oldest first."""

    sink: FrameKeys
    window: tuple[FrameKeys, ...]

    @staticmethod
    def filled(frame: FrameKeys, window: int) -> Context:
        """A start: one frame in every slot."""
        return Context(frame, (frame,) * window)

    def pushed(self, frame: FrameKeys) -> Context:
        """With `frame` as the newest; the oldest of the window is forgotten, the sink stays."""
        return Context(self.sink, (*self.window[1:], frame))

    @property
    def frames(self) -> tuple[FrameKeys, ...]:
        """In logical order."""
        return self.sink, *self.window

    def assembled(self, split: RotarySplit, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Keys rotated by slot, with tables (slots, time pairs), and values: each (layers, B, heads, slots * N, d)."""
        keys, values = torch.stack(self.frames, dim=4).unbind()  # (layers, B, heads, slots, N, d)
        keys = split.rotate_time(keys, cos[:, None].to(keys.dtype), sin[:, None].to(keys.dtype))
        return keys.flatten(3, 4), values.flatten(3, 4)
