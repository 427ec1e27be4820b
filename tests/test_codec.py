from __future__ import annotations

import numpy as np
import torch

from worldsim.model.codec import Codec, CodecConfig, to_pixels, to_tensor
from worldsim.train.stages.codec import codec_loss


def test_pixels_and_tensors_are_inverse():
    frames = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
    assert np.array_equal(to_pixels(to_tensor(frames)), frames)


def test_latents_of_the_statistics_frames_are_normalised():
    codec = Codec(CodecConfig(channels=8, encoder_widths=(16, 8, 8), decoder_widths=(16, 8, 8)))
    frames = torch.rand(16, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        codec.set_statistics(codec.encoder(frames))
        latents = codec.encode(frames)
    assert latents.shape == (16, 8, 2, 3)
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 1e-4
    assert (latents.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-3


def test_decode_does_not_depend_on_the_statistics():
    codec = Codec(CodecConfig(channels=8, encoder_widths=(16, 8, 8), decoder_widths=(16, 8, 8)))
    frames = torch.rand(4, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        before = codec.decode(codec.encode(frames))
        codec.set_statistics(codec.encoder(frames))
        after = codec.decode(codec.encode(frames))
    assert torch.allclose(before, after, atol=1e-4)


def test_starting_from_components_reconstructs_what_has_so_few():
    torch.manual_seed(0)
    basis = torch.randn(6, 3 * 16 * 16)
    patches = torch.randn(400, 6) @ basis * 0.1  # frames of rank 6 need 6 channels
    frames = patches.view(100, 2, 2, 3, 16, 16).permute(0, 3, 1, 4, 2, 5).reshape(100, 3, 32, 32)
    codec = Codec(CodecConfig(channels=8, encoder_widths=(16, 8, 8), decoder_widths=(16, 8, 8)))
    codec.start_from_components(frames)
    with torch.no_grad():
        again = codec.decode(codec.encode(frames))
    assert (again - frames).abs().max() < 1e-3


def test_the_loss_is_zero_exactly_at_the_truth():
    frames = torch.rand(2, 3, 32, 48)
    assert codec_loss(frames, frames) == 0
    assert codec_loss(frames + 0.1, frames) > 0
