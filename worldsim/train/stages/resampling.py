"""Stage `resampling`: learn from one's own mistakes (Resampling-Forcing).

True history is replaced by the model's own rollout of it, without gradient: each history frame is denoised from
partly noised truth over the dreamed frames before it, so it carries the model's errors but stays beside the truth.
The loss is that of `forcing`, and its target is still the clean truth.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from worldsim.data.latents import Clips
from worldsim.diffusion.schedule import CONTEXT_LEVEL, add_noise
from worldsim.inference.rollout import Rollout
from worldsim.model.generator import Prepared
from worldsim.train.stages.forcing import ForcingStage

TRUE_SHARE = 0.3  # of batches that keep their true history, so that the stage does not forget what truth looks like
FREE_SHARE = 0.3  # of clips dreamed from nothing but noise, as at play: these drift furthest


class ResamplingStage(ForcingStage):
    """Forcing on dreamed history."""

    name = "resampling"

    def loss(self, step_seed: int, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.Generator(np.random.Philox(key=step_seed))
        clips = self._latents.draw(rng, self._batch, self._frames).to(self._device)
        noise_rng = torch.Generator().manual_seed(step_seed)
        if rng.random() < TRUE_SHARE:
            return self.total_loss(clips, clips.latents, rng, noise_rng)
        history = self.dreamed_history(clips, noise_rng)
        loss, numbers = self.total_loss(clips, history, rng, noise_rng)
        return loss, numbers | {"history_error": float((history - clips.latents).square().mean())}

    @torch.no_grad()
    def dreamed_history(self, clips: Clips, noise_rng: torch.Generator) -> Tensor:
        """The clip as the model dreams it, (B, 1 + T, N, C): sink and first frame true, then one frame after another.

        Each clip draws its own level of partly noised truth, logit-normal and leaning to noise: low levels drift in
        quality, high ones in content.
        """
        rollout = Rollout(self.generator, 1, CONTEXT_LEVEL)
        batch, count = clips.latents.shape[:2]
        whole = self._in_all(batch)
        level = torch.sigmoid(torch.randn(whole, generator=noise_rng) + 1.0)
        level = torch.where(torch.rand(whole, generator=noise_rng) < FREE_SHARE, torch.ones(()), level)
        level, posed = self._latents.own(level).to(self._device), torch.ones(batch, device=self._device)

        def noise() -> Tensor:
            return self._noise(clips.latents[:, 0], noise_rng)

        frames = [clips.latents[:, 0], clips.latents[:, 1]]
        context = None
        for i in range(1, count):
            prepared = cast(Prepared, rollout.prepare(clips.tick(i, posed)))
            if context is None:
                context = rollout.begin(frames[1], prepared, noise())
                continue
            x = add_noise(clips.latents[:, i], noise(), level[:, None, None])
            modulated = self.generator.modulate(prepared.embedded.vector, level)
            made = self.generator.denoise(x, modulated, prepared.embedded, context).float()
            frames.append(made)
            if i < count - 1:
                context = rollout.commit(context, made, prepared, noise())
        return torch.stack(frames, dim=1)
