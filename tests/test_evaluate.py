"""The instruments are checked before what they measure: known pictures, known poses, known figures."""

from __future__ import annotations

import html.parser
import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import make_checkpoint, small_gallery

from worldsim.camera import Look, Pose
from worldsim.errors import ConfigError, DataError
from worldsim.evaluate.metric import WORTH, Measurement, Sizes, average, compare
from worldsim.evaluate.metrics import gradient_energy, macro_f1, ssim
from worldsim.evaluate.report import curves, figure_rows, page, picture, section, table
from worldsim.psnr import psnr
from worldsim.registry import METRICS
from worldsim.scene import Scene


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
def test_a_picture_of_elsewhere_fits_no_pose(world):
    from worldsim.evaluate.pose_estimator import PoseEstimator

    here, elsewhere = Pose(4.5, 0.8, Look(5.0, -3.0)), Pose(3.4, 9.2, Look(100.0, 4.0))
    estimator, picture = PoseEstimator(world), world.at(elsewhere)[1].pixels
    assert not estimator.best_reading(picture, [here]).fits
    found = estimator.best_reading(picture, [here, replace(elsewhere, x=3.43)])
    assert found.fits and abs(found.pose.x - elsewhere.x) < 0.02


@pytest.mark.gl
def test_a_thing_is_found_there_and_missed_where_it_is_not(world):
    from worldsim.evaluate.things import thing_figures, visible_things

    pose = world.scene.spawns[0].pose
    truth = world.at(pose)[1].pixels
    things = visible_things(world, [pose])
    without = things[0][0].without
    kept = thing_figures([(truth, truth)], things)
    gone = thing_figures([(without, truth)], [things[0][:1]])
    assert len(things[0]) > 2 and set(kept.values()) == {1.0} and gone["things_there"] == 0


@pytest.mark.gl
def test_there_and_back_ends_where_it_began(world):
    from worldsim.evaluate.memory import _loop, _there_and_back
    from worldsim.evaluate.rollouts import poses

    pose = world.scene.spawns[0].pose
    for walk in (_loop(world, 2, pose, 1), _there_and_back(world, 2, pose)):
        first, last = poses(walk)[0], poses(walk)[-1]
        assert np.allclose(first[:2], last[:2], atol=0.01) and abs(last[2] - first[2]) == pytest.approx(360.0)
        assert np.abs(walk.frames[0].astype(int) - walk.frames[-1]).mean() < 2


def test_the_worth_is_measured_against_the_best_null_row():
    rows = {
        "dream": {"db": 30.0, "error": 0.2, "still": 0.5, "none": None},
        "memory_alone": {"db": 29.0, "error": 0.1, "still": 0.1},
        "last_frame_repeated": {"db": 12.0, "error": 0.9, "still": 1.0},
        "ceiling": {"db": 34.0},
    }
    found = compare(rows, less_is_better=("error",), unfair={"still": ("last_frame_repeated",)})
    assert {name: row[WORTH] for name, row in found.items()} == {"db": 1.0, "error": -0.1, "still": 0.4}
    assert found["db"]["ceiling"] == 34.0 and found["still"]["last_frame_repeated"] == 1.0
    head, lines = figure_rows(found)
    assert head[0] == "dream" and head[-1] == WORTH and lines[1][-2:] == [None, -0.1]


def test_what_cannot_be_measured_does_not_count():
    assert average([1.0, None, 0.0]) == 0.5 and average([None]) is None


def test_a_patch_is_kept_in_its_own_pixels_only():
    from worldsim.evaluate.persistence import colour_kept

    plain = np.full((32, 48, 3), 90, np.uint8)
    mask = np.zeros((32, 48), bool)
    mask[8:16, 8:16] = True
    painted = np.where(mask[..., None], np.uint8([250, 0, 250]), plain)
    half = ((painted.astype(int) + plain) // 2).astype(np.uint8)
    tinted = np.full_like(plain, 0) + np.uint8([250, 0, 250])
    moved = np.roll(painted, 16, axis=1)
    kept = [colour_kept(made, painted, plain, mask) for made in (painted, half, plain, tinted, moved)]
    assert kept[0] == pytest.approx(1) and kept[1] == pytest.approx(0.5, abs=0.02)
    assert all(abs(k) < 0.05 for k in kept[2:])


@pytest.mark.gl
def test_null_rows_lack_what_they_say(world, checkpoint_folder):
    """The prior alone does not see the start; zeroed actions keep the pose; shuffled history takes other pictures."""
    from worldsim.checkpoint import open_checkpoint
    from worldsim.evaluate.rollouts import Dreamer
    from worldsim.model.weights import load_networks

    dreamer = Dreamer(world.scene, *load_networks(open_checkpoint(str(checkpoint_folder))), 2, 0.1)
    walks = Measurement(world, dreamer).walks(2, 6)
    made = dreamer.dream_all(walks, 6, "", True)
    black = np.zeros((2, dreamer.window, *walks[0].frames.shape[1:]), np.uint8)
    blind = dreamer.dream(walks, 6, "", True, black, "memory_alone")
    assert np.array_equal(blind[0].frames, made["memory_alone"][0].frames)
    assert not np.array_equal(dreamer.dream(walks, 6, "", True, black)[0].frames, made["dream"][0].frames)
    for row in ("memory_alone", "action_zeroed", "history_shuffled"):
        assert np.allclose(made[row][0].position, made["dream"][0].position), row
        assert not np.array_equal(made[row][0].frames, made["dream"][0].frames), row
    swapped = np.stack([w.frames[: dreamer.window] for w in walks[::-1]])
    assert np.array_equal(dreamer.dream(walks, 6, "", True, swapped)[0].frames, made["history_shuffled"][0].frames)
    assert (made["last_frame_repeated"][1].frames == walks[1].frames[dreamer.window - 1]).all()


@pytest.mark.gl
def test_a_promotion_walks_elsewhere_than_a_report(world):
    class Window:
        window = 1

    walks = [Measurement(world, Window(), seeds=seeds).walks(2, 3) for seeds in ("report", "promote")]
    starts = [Measurement(world, Window(), seeds=seeds).starts(3) for seeds in ("report", "promote")]
    assert not {w.seed for w in walks[0]} & {w.seed for w in walks[1]}
    assert not set(starts[0]) & set(starts[1])


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


@pytest.mark.parametrize("value", [0.0, 5.0, 10.0])
def test_lines_that_end_together_have_labels_apart(value):
    lines = {name: ([0, 1], [0.0, value + i / 10]) for i, name in enumerate("abcdef")}
    lines["a"] = ([0, 1], [10.0, value])
    assert curves(lines, "x", "y").count("<polyline") == 6


def evaluated(folder: Path, scene: Scene, parts: list[str]):
    """Parts of the evaluation of a checkpoint of random weights, as small as they can be."""
    from worldsim.checkpoint import open_checkpoint
    from worldsim.evaluate.rollouts import Dreamer
    from worldsim.evaluate.suite import evaluate
    from worldsim.model.weights import load_networks

    networks = load_networks(open_checkpoint(str(make_checkpoint(folder / "small", 0, scene))))
    sizes = Sizes(rollouts=2, ticks=4, drift_ticks=40, starts=1, control_walks=1, control_ticks=9, cases=1)
    with scene.source.open(scene) as source:
        return evaluate(Measurement(source, Dreamer(scene, *networks, 1, 0.1), sizes), parts)


@pytest.mark.gl
@pytest.mark.slow
def test_the_whole_evaluation_of_a_small_checkpoint(tmp_path):
    """Of a scene with all that a part of it asks for. Entities take minutes: see test_wrong_living_dreams."""
    from worldsim.evaluate.suite import as_text, legend, summary

    parts = [name for name in METRICS.names() if name != "entities"]
    done = evaluated(tmp_path, small_gallery(), parts)
    assert list(done.figures) == parts and not done.left_out
    for part, figures in done.figures.items():
        rows = [value for value in figures.values() if isinstance(value, dict) and "dream" in value]
        assert figures["sizes"] and rows, part
        assert any(WORTH in row for row in rows), part
    text = page("a", summary(done.figures), [legend(), *done.sections])
    found = _Counter()
    found.feed(text)
    assert found.tags.count("table") >= 7 and not found.outside and "generator worth" in text
    assert "wall_stopped" in as_text(done.figures)


@pytest.fixture
def bounce(monkeypatch):
    """A game without a camera or poses, whose episodes end."""
    from worldsim.scene import load_scene

    examples = Path(__file__).parent.parent / "examples"
    monkeypatch.syspath_prepend(str(examples))
    importlib.import_module("bounce")
    scene = load_scene(str(examples / "bounce.yaml"))
    with scene.source.open(scene) as source:
        yield source


def test_a_source_without_poses_gets_the_parts_that_suit_it(bounce):
    from worldsim.evaluate.rollouts import Dreamer
    from worldsim.evaluate.suite import evaluate
    from worldsim.model.codec import Codec, CodecConfig
    from worldsim.model.generator import Generator, GeneratorConfig
    from worldsim.model.weights import shape_of

    codec = Codec(CodecConfig(channels=8, encoder_widths=(16, 8, 8), decoder_widths=(16, 8, 8)))
    config = GeneratorConfig(width=64, depth=1, heads=2, hidden=64, window=2).without_place()
    dreamer = Dreamer(bounce.scene, codec, Generator(config, shape_of(bounce.scene, 8)), 1, 0.1)
    done = evaluate(Measurement(bounce, dreamer, Sizes(rollouts=2, ticks=4)))
    assert list(done.figures) == ["quality", "persistence"]
    assert set(done.left_out) == set(METRICS.names()) - {"quality", "persistence"}
    assert "no camera" in done.left_out["drift"] and "memory_alone" not in done.figures["quality"]["psnr_db_at_1"]
    with pytest.raises(ConfigError, match="drift does not suit scene bounce"):
        evaluate(Measurement(bounce, dreamer), ("drift",))
    with pytest.raises(DataError, match="has 502 frames, the longest of 16 has 121; give fewer --ticks"):
        evaluate(Measurement(bounce, dreamer, Sizes(rollouts=2, ticks=500)), ("quality",))
