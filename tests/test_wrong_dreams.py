"""Dreams that are wrong on purpose: each part that claims to see a fault must score it clearly worse than the truth.

The networks are replaced by the true engine, whose frames are altered and then pass a real codec. So what is tested is
the measure, not a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from support import ROOT

from worldsim.camera import Look, Pose
from worldsim.evaluate.control import Control
from worldsim.evaluate.counterfactual import Counterfactual
from worldsim.evaluate.drift import Drift
from worldsim.evaluate.memory import Memory
from worldsim.evaluate.metric import WORTH, Measurement, Sizes
from worldsim.evaluate.nulls import DREAM, LAST_FRAME_REPEATED, Still
from worldsim.evaluate.persistence import HORIZONS, Persistence
from worldsim.evaluate.quality import Quality
from worldsim.evaluate.rollouts import Dream, Dreamer, pose_of, poses
from worldsim.scene import Scene, load_scene
from worldsim.source.rooms.world import RoomsState, RoomsWorld
from worldsim.world import Frame, World

pytestmark = pytest.mark.gl

TRUTH = "truth"
ELSEWHERE = Pose(3.4, 9.2, Look(100.0, 4.0))


def recoloured(frames: np.ndarray) -> np.ndarray:
    """A colour shift: a third of the red goes to green and blue."""
    shifted = frames.astype(float)
    shifted[..., 0] *= 0.6
    shifted[..., 2] = shifted[..., 2] * 0.7 + 75
    return shifted.clip(0, 255).astype(np.uint8)


class Remembering(RoomsWorld):
    """The true engine, which draws each view once: the faults share most of them."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._drawn: dict[Pose, np.ndarray] = {}

    def render(self, snapshot: RoomsState) -> Frame:
        pose = snapshot.pose
        if pose not in self._drawn:
            self._drawn[pose] = super().render(snapshot).pixels
        return Frame(self._drawn[pose], snapshot.tick, pose.look, pose)


@dataclass(frozen=True)
class Faulty(Dreamer):
    """Dreams the true engine's frames with one fault. keeps_start: what differs between start picture and truth stays,
    as in a dream that keeps what it is shown. coded: frames after
    the codec, by their bytes. rows: its null rows."""

    source: RoomsWorld
    coded: dict[bytes, np.ndarray]
    fault: str = TRUTH
    rows: tuple[str, ...] = ()

    def after_codec(self, frames: np.ndarray) -> np.ndarray:
        """Each frame passes the codec once."""
        keys = [frame.tobytes() for frame in frames]
        new = {key: i for i, key in enumerate(keys) if key not in self.coded}
        if new:
            self.coded.update(zip(new, super().after_codec(frames[list(new.values())]), strict=True))
        return np.stack([self.coded[key] for key in keys])

    @property
    def nulls(self) -> tuple[str, ...]:
        return self.rows

    def dream(self, walks, ticks, what, quiet, start=None, variant=DREAM) -> list[Dream]:
        if variant == LAST_FRAME_REPEATED:
            return super().dream(walks, ticks, what, quiet, start, variant)
        return [self._one(walk, ticks, None if start is None else start[i]) for i, walk in enumerate(walks)]

    def _one(self, walk, ticks: int, start: np.ndarray | None) -> Dream:
        window = self.window
        track = poses(walk)[: window + ticks]
        frames, place = walk.frames[window : window + ticks], track[window:, :2]
        first = walk.frames[window - 1] if start is None else start[-1]
        if self.fault == "another place":
            frames = np.stack([self.source.at(self._elsewhere(row))[1].pixels for row in track[window:]])
        elif self.fault == "frozen picture":
            frames = np.broadcast_to(first, frames.shape)
        elif self.fault == "ignored action":  # it walks straight on, whatever the player does
            ahead, pose, frames = self.scene.action_space.make(walk=1, yaw=8), pose_of(track[window - 1]), []
            for _ in range(ticks):
                pose = self.source.move(pose, ahead)
                frames.append(self.source.at(pose)[1].pixels)
            frames = np.stack(frames)
        elif self.fault == "colour shift":
            frames = recoloured(frames)
        elif self.fault == "teleporting pose":  # every third tick it is a metre farther along
            place = place.copy()
            shown = []
            for i, row in enumerate(track[window:]):
                pose = pose_of(row)
                if i // 3 % 2:
                    pose = replace(pose, x=pose.x + 0.7, y=pose.y + 0.7)
                    place[i] = pose.x, pose.y
                shown.append(self.source.at(pose)[1].pixels)
            frames = np.stack(shown)
        elif start is not None and self.fault == "keeps its pictures":
            frames = self._keep(walk, frames, start[-1], track)
        return Dream(self.after_codec(np.asarray(frames)), place)

    def _keep(self, walk, frames: np.ndarray, start: np.ndarray, track: np.ndarray) -> np.ndarray:
        """What was painted is there whenever the view is the first one."""
        changed = (start != walk.frames[self.window - 1]).any(axis=2)
        same = np.abs(track[self.window :] - track[self.window - 1]).max(axis=1) < 0.01
        return np.stack([np.where(changed[..., None] & s, start, f) for s, f in zip(same, frames, strict=True)])

    def _elsewhere(self, row: np.ndarray) -> Pose:
        """It turns and moves as it should, in another room."""
        pose = pose_of(row)
        return replace(ELSEWHERE, x=ELSEWHERE.x + 0.1 * np.sin(pose.x), look=pose.look)

    def world(self, variant: str = DREAM) -> World:
        return Still(self.scene) if variant == LAST_FRAME_REPEATED else FaultyWorld(self)


class FaultyWorld(World):
    """The true engine as a dream with one fault."""

    def __init__(self, dreamer: Faulty) -> None:
        self._dreamer, self._source = dreamer, dreamer.source

    @property
    def scene(self):
        return self._source.scene

    def start(self, seed, spawn):
        state, frame = self._source.start(seed, spawn)
        return (state, frame, frame), frame

    def advance(self, state, action):
        inner, first, _ = state
        inner, frame = self._source.advance(inner, action)
        pixels, pose, fault = frame.pixels, frame.pose, self._dreamer.fault
        if fault == "another place":
            pixels = self._source.at(replace(ELSEWHERE, look=pose.look))[1].pixels
        elif fault in ("frozen picture", "ignored action"):
            pixels = first.pixels
        elif fault == "colour shift":
            pixels = recoloured(pixels)
        elif fault == "teleporting pose":
            pose = replace(pose, x=pose.x + 0.9 * (frame.tick // 7 % 2))
        made = replace(frame, pixels=self._dreamer.after_codec(pixels[None])[0], pose=pose)
        return (inner, first, made), made


@pytest.fixture(scope="module")
def measure():
    """(part, fault, sizes) -> its figures, each measured once."""
    import torch

    from worldsim.checkpoint import open_checkpoint
    from worldsim.model.generator import Generator, GeneratorConfig
    from worldsim.model.weights import load_networks, shape_of

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    codec, shipped = load_networks(open_checkpoint("museum"))
    scene = load_scene(str(ROOT / "tests/data/museum.yaml"))
    config = GeneratorConfig(width=32, depth=1, heads=2, hidden=32, window=shipped.config.window)
    networks = codec, Generator(config, shape_of(scene, codec.config.channels))  # it dreams nothing here
    found: dict[tuple, dict] = {}
    coded: dict[bytes, np.ndarray] = {}
    with Remembering(scene) as source:

        def run(part: Callable, fault: str, sizes: Sizes) -> dict:
            key = (part, fault)
            if key not in found:
                rows = (LAST_FRAME_REPEATED,) if part is Quality else ()
                dreamer = Faulty(scene, *networks, 2, 0.1, source, coded, fault, rows)
                found[key] = part().run(Measurement(source, dreamer, sizes)).figures
            return found[key]

        yield run
    torch.set_num_threads(threads)


FEW = Sizes(rollouts=2, ticks=16, drift_ticks=120, starts=2, control_walks=1, control_ticks=32)
ONE = replace(FEW, starts=1)
ANY = ("another place", "frozen picture", "ignored action", "colour shift", "teleporting pose")


def of(figures: dict, name: str) -> float:
    return figures[name][DREAM]


def test_true_frames_score_as_the_ceiling_does(measure):
    figures = measure(Quality, TRUTH, FEW)
    assert of(figures, "psnr_db_at_16") == pytest.approx(figures["psnr_db_at_16"]["ceiling"])
    assert figures["psnr_db_at_16"][WORTH] > 5


@pytest.mark.parametrize("fault", ANY)
def test_quality_sees(measure, fault):
    right, wrong = (measure(Quality, f, FEW) for f in (TRUTH, fault))
    assert of(wrong, "psnr_db_at_16") < of(right, "psnr_db_at_16") - 6
    assert Quality().judge(wrong) < Quality().judge(right) - 3


@pytest.mark.parametrize("fault", ["another place", "frozen picture", "ignored action"])
def test_control_sees_that_turns_are_not_made(measure, fault):
    right, wrong = (measure(Control, f, FEW) for f in (TRUTH, fault))
    assert of(right, "yaw_error_ratio") < 0.1 < 0.5 < of(wrong, "yaw_error_ratio")
    assert Control().judge(wrong) < Control().judge(right) - 5


@pytest.mark.parametrize("fault", ["another place", "frozen picture", "ignored action", "teleporting pose"])
def test_control_sees_that_steps_are_not_made(measure, fault):
    right, wrong = (measure(Control, f, FEW) for f in (TRUTH, fault))
    assert of(right, "motion_f1") > 0.85
    assert of(right, "motion_f1") == pytest.approx(right["motion_f1"]["ceiling"], abs=0.1)
    assert of(wrong, "motion_f1") < of(right, "motion_f1") - 0.2


@pytest.mark.parametrize("fault", ["another place", "frozen picture", "ignored action", "colour shift"])
def test_memory_sees(measure, fault):
    right, wrong = (measure(Memory, f, ONE) for f in (TRUTH, fault))
    assert of(right, "things_there") == of(right, "wall_stopped") == 1 and of(right, "wall_off_m") < 0.1
    assert of(wrong, "loop_psnr_db") < of(right, "loop_psnr_db") - 6
    assert of(wrong, "trip_psnr_db") < of(right, "trip_psnr_db") - 6
    assert of(wrong, "things_colour") < 0.7 < of(right, "things_colour")
    assert Memory().judge(wrong) < Memory().judge(right) - 5


@pytest.mark.parametrize("fault", ["another place", "frozen picture"])
def test_memory_sees_that_things_are_gone_and_walls_do_not_stop(measure, fault):
    wrong = measure(Memory, fault, ONE)
    assert of(wrong, "things_there") < 0.7 and of(wrong, "wall_stopped") == 0 and of(wrong, "wall_off_m") > 0.5


@pytest.mark.parametrize("fault", ["another place", "frozen picture"])
def test_counterfactuals_see_the_wrong_outcome(measure, fault):
    right, wrong = (measure(Counterfactual, f, ONE) for f in (TRUTH, fault))
    for view in ("backwards", "sideways"):
        assert of(right, f"{view}_outcome") == 1 and of(wrong, f"{view}_outcome") == 0


def test_counterfactuals_see_a_dream_that_does_not_look_at_its_pictures(measure):
    """The truth in its own colours, whatever colours it was given: right in all else, it must fail here."""
    blind = measure(Counterfactual, TRUTH, ONE)
    assert of(blind, "recoloured_outcome") < 0.5
    assert all(of(blind, f"recoloured_kept_after_{n}") < 0.1 < 0.8 < blind[f"recoloured_kept_after_{n}"]["ceiling"]
               for n in (1, 16, 70))  # fmt: skip


PATCHES = replace(FEW, ticks=16)
SEEN = [h for h in HORIZONS if h <= 16]


def test_a_dream_that_keeps_its_pictures_persists(measure):
    figures = measure(Persistence, "keeps its pictures", PATCHES)
    for name in ("patch_kept_after_turn", *(f"{what}_kept_after_{h}" for what in ("patch", "foreign") for h in SEEN)):
        assert of(figures, name) > 0.9, name
    assert of(figures, "turned_away") == 1 and Persistence().judge(figures) > 25


@pytest.mark.parametrize("fault", [TRUTH, "another place", "colour shift"])
def test_persistence_sees_that_pictures_are_lost(measure, fault):
    """The truth itself is wrong here: it shows the place, not what it was given."""
    figures = measure(Persistence, fault, PATCHES)
    for h in SEEN:
        assert of(figures, f"patch_kept_after_{h}") < 0.3 and of(figures, f"foreign_kept_after_{h}") < 0.5
    assert abs(of(figures, "patch_kept_after_turn")) < 0.3 and Persistence().judge(figures) < 10


def test_a_frozen_picture_persists_only_until_it_should_turn(measure):
    figures = measure(Persistence, "frozen picture", PATCHES)
    assert of(figures, "patch_kept_after_16") > 0.9
    assert of(figures, "patch_kept_after_turn") == of(figures, "turned_away") == 0


@pytest.mark.parametrize("fault", ["another place", "colour shift"])
def test_drift_sees_wrong_pictures(measure, fault):
    right, wrong = (measure(Drift, f, FEW) for f in (TRUTH, fault))
    assert of(wrong, "psnr_believed_db_last") < of(right, "psnr_believed_db_last") - 6
    assert Drift().judge(wrong) < Drift().judge(right) - 5


@pytest.mark.parametrize("fault", ["frozen picture", "ignored action"])
def test_drift_sees_a_picture_that_does_not_move(measure, fault):
    right, wrong = (measure(Drift, f, FEW) for f in (TRUTH, fault))
    assert of(wrong, "psnr_true_db_first") < of(right, "psnr_true_db_first") - 6
    assert Drift().judge(wrong) < Drift().judge(right) - 5


def test_drift_sees_a_believed_place_that_is_wrong(measure):
    right, wrong = (measure(Drift, f, FEW) for f in (TRUTH, "teleporting pose"))
    assert of(right, "believed_off_m_last") == 0 and of(wrong, "believed_off_m_last") > 0.3
    assert Drift().judge(wrong) < Drift().judge(right)
