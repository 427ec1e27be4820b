"""The instruments are checked before what they measure: known pictures, known poses, known figures."""

from __future__ import annotations

import html.parser
import json

import numpy as np
import pytest
from support import tool

from worldsim.camera import Look, Pose
from worldsim.evaluate.metrics import gradient_energy, macro_f1, psnr, ssim
from worldsim.evaluate.report import curves, page, picture, section, table


def noise(seed: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=seed)).integers(0, 256, (32, 48, 3)).astype(np.uint8)


def test_equal_pictures_are_equal_by_every_measure():
    frame = noise(0)
    assert psnr(frame, frame) == 99.0 and ssim(frame, frame) == pytest.approx(1.0)


def test_psnr_of_a_known_difference():
    grey = np.full((8, 8, 3), 100, np.uint8)
    assert psnr(grey, grey + 16) == pytest.approx(20 * np.log10(255 / 16), abs=1e-6)


def test_ssim_falls_with_structure_not_with_brightness():
    frame = noise(0) // 2 + 40
    assert ssim(frame + 10, frame) > 0.9 > 0.1 > ssim(noise(1), noise(2))


def test_flip_is_zero_for_equal_pictures():
    pytest.importorskip("flip_evaluator")
    from worldsim.evaluate.metrics import flip

    assert flip(noise(0), noise(0)) == pytest.approx(0.0, abs=1e-6)
    assert (flip(noise(0), noise(1)) or 0) > 0.2


def test_gradient_energy_of_stripes():
    stripes = np.zeros((4, 6, 3), np.uint8)
    stripes[:, ::2] = 10
    assert gradient_energy(stripes) == pytest.approx(100.0)


def test_macro_f1_counts_classes_alike():
    true = np.array([0, 0, 0, 0, 1, -1])
    assert macro_f1(true, true) == 1.0
    assert macro_f1(np.zeros(6), true) == pytest.approx((0.8 + 0 + 0) / 3)


@pytest.fixture(scope="module")
def world(scene):
    from worldsim.source.rooms.world import RoomsWorld

    world = RoomsWorld(scene)
    yield world
    world.close()


@pytest.mark.gl
@pytest.mark.parametrize("pose", [Pose(4.5, 0.8, Look(5.0, -3.0)), Pose(3.4, 9.2, Look(100.0, 4.0))])
def test_the_ruler_finds_a_known_pose(world, pose):
    from worldsim.evaluate.pose_estimator import PoseEstimator

    found = PoseEstimator(world).read(
        world.at(pose)[1].pixels,
        Pose(pose.x + 0.04, pose.y - 0.03, Look(pose.look.yaw_deg - 0.8, pose.look.pitch_deg + 0.4)),
    )
    assert np.hypot(found.x - pose.x, found.y - pose.y) < 0.02
    assert abs(found.look.yaw_deg - pose.look.yaw_deg) < 0.2 and abs(found.look.pitch_deg - pose.look.pitch_deg) < 0.2


@pytest.mark.gl
def test_a_turn_is_read_where_the_place_is_given(world):
    """The place stays what it was said to be; a wrong one shows as a turn, so it must be the believed one."""
    from worldsim.evaluate.pose_estimator import PoseEstimator

    pose = Pose(4.5, 0.8, Look(5.0, -3.0))
    near = Pose(pose.x, pose.y, Look(pose.look.yaw_deg - 0.8, pose.look.pitch_deg + 0.4))
    found = PoseEstimator(world).read(world.at(pose)[1].pixels, near, standing=True)
    assert np.hypot(found.x - pose.x, found.y - pose.y) < 1e-4
    assert abs(found.look.yaw_deg - pose.look.yaw_deg) < 0.05 and abs(found.look.pitch_deg - pose.look.pitch_deg) < 0.05


@pytest.mark.gl
def test_a_thing_is_found_there_and_missed_where_it_is_not(world):
    from worldsim.evaluate.memory import _entities

    pose = world.scene.spawns[0].pose
    truth = world.at(pose)[1].pixels
    kept = _entities(world, [(truth, truth, pose)])
    gone = _entities(world, [(np.full_like(truth, 128), truth, pose)])
    assert kept["things"] > 2 and kept["there"] == kept["same_place"] == kept["same_colour"] == 1.0
    assert gone["same_colour"] < 0.5


@pytest.mark.gl
def test_there_and_back_ends_where_it_began(world):
    from worldsim.evaluate.memory import _loop, _there_and_back
    from worldsim.evaluate.rollouts import poses

    class Two:
        window = 2

    for walk in (
        _loop(world, Two(), world.scene.spawns[0].pose, 1),
        _there_and_back(world, Two(), world.scene.spawns[0].pose),
    ):
        first, last = poses(walk)[0], poses(walk)[-1]
        assert np.allclose(first[:2], last[:2], atol=0.01) and abs(last[2] - first[2]) == pytest.approx(360.0)
        assert np.abs(walk.frames[0].astype(int) - walk.frames[-1]).mean() < 2


class _Counter(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.outside += [v for k, v in attrs if k in ("src", "href") and not (v or "").startswith("data:")]


def test_a_report_stands_alone():
    lines = {"dream": ([1, 2, 3], [20.0, 19.0, 18.0]), "codec": ([1, 3], [30.0, 30.0])}
    text = page(
        "a <b>", "c", [section("d", table(("e",), [(1,)]), curves(lines, "tick", "dB"), picture(noise(0), "f"))]
    )
    found = _Counter()
    found.feed(text)
    assert found.tags.count("polyline") == 2 and "img" in found.tags and not found.outside and "a &lt;b&gt;" in text


@pytest.mark.gl
@pytest.mark.slow
def test_the_whole_evaluation_of_a_small_checkpoint(checkpoint_folder, tmp_path):
    report = tmp_path / "report.html"
    done = tool(
        "evaluate", str(checkpoint_folder), "--rollouts", "2", "--ticks", "16", "--drift-ticks", "240", "--data",
        str(tmp_path), "--report", str(report), "--json", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["look"]["ceiling"] < 0.5 and found["drift"]["ticks"] == 240  # its codec shows next to nothing
    assert {"quality", "control", "memory", "counterfactual", "drift"} == set(found["seconds"])
    assert "Drift" in report.read_text()
