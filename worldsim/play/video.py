"""Writes frames as an mp4 for sharing. Traces, not videos, are what replays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from worldsim.errors import WorldsimError

_SCALE_TO = 640  # pixels of width: players show a 160-pixel video as a stamp


class VideoWriter:
    """Appends frames uint8 (H, W, 3); enlarged by whole pixels."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        """Raises WorldsimError if the file cannot be written."""
        self.path = path
        self._scale = max(1, _SCALE_TO // width)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(path), "w", format="mp4")
        except (OSError, av.FFmpegError) as error:
            raise WorldsimError(f"{path} cannot be written as a video: {error}") from None
        self._stream = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        self._stream.width, self._stream.height = width * self._scale, height * self._scale
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "18", "preset": "veryfast"}
        self._stream.thread_count = 1

    def write(self, pixels: np.ndarray) -> None:
        large = pixels.repeat(self._scale, axis=0).repeat(self._scale, axis=1)
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(large), format="rgb24")):
            self._container.mux(packet)

    def close(self) -> None:
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()
