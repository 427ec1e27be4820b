"""What `worldsim train` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worldsim.config import require
from worldsim.scene import Scene


@dataclass(frozen=True)
class Preset:
    """Batch sizes and lengths for a kind of machine. codec_frames: how many frames the codec stage holds in memory."""

    codec_batch: int = 12
    codec_frames: int = 44_000
    clips: int = 10
    clip_frames: int = 9
    bf16: bool = True
    device: str = "cpu"
    compile: bool = False


PRESETS = {
    "cpu": Preset(),
    "gpu": Preset(codec_batch=256, codec_frames=400_000, clips=64, clip_frames=16, device="cuda", compile=True),
}


@dataclass(frozen=True)
class Request:
    """What the command line asks for. `folder` receives the checkpoint; its stages keep their state inside.

    changes: KEY=VALUE, other fields of a new generator.
    """

    stage: str
    scene: Scene
    folder: Path
    data: Path
    preset: str = "cpu"
    model: str | None = None
    parts_from: str | None = None
    resume: bool = False
    fresh: bool = False
    quiet: bool = False
    clips: int | None = None
    clip_frames: int | None = None
    compile: bool = False
    changes: tuple[str, ...] = ()
    shard: bool = False

    def __post_init__(self) -> None:
        require(
            self.clip_frames is None or self.clip_frames >= 2, f"clip_frames must be at least 2, got {self.clip_frames}"
        )
