"""Exactness: drafted equals plain, rewound equals first time, replay equals recording."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from worldsim.checkpoint import read_checkpoint, write_info
from worldsim.errors import TraceError
from worldsim.play.history import KEEP_EVERY, KEEP_EVERY_FAR, NEAR_TICKS, SEEN_TICKS
from worldsim.play.replay import Replay
from worldsim.play.session import DRIFTED_TICKS, Session, SessionSettings
from worldsim.play.trace import read_trace
from worldsim.worlds.catalogue import LoadOptions, find_world, open_world


@pytest.fixture
def make(loaded, checkpoint_folder):
    def make(speculate: str = "off", rewind_s: float = 90.0) -> Session:
        spawn = find_world(str(checkpoint_folder)).spawn(None)
        return Session(loaded, spawn, SessionSettings(speculate, rewind_s, seed=7))

    return make


def forever() -> float:
    return float("inf")


def digests(session: Session, actions) -> list[str]:
    return [session.advance(a).digest for a in actions]


@pytest.mark.parametrize("count", ["1", "3"])
def test_drafted_equals_plain(make, some_actions, count):
    plain = digests(make(), some_actions)
    session = make(count)
    drafted = []
    for action in some_actions:
        session.slack(forever)
        drafted.append(session.advance(action).digest)
    assert drafted == plain
    assert session.drafts.accepted > 5 and session.drafts.discarded > 5


def test_a_draft_is_given_up_between_passes(make, some_actions):
    session = make("auto")
    plain = digests(make(), some_actions[:6])
    left = itertools.chain([1.0, 0.0], itertools.repeat(1.0))
    made = []
    for action in some_actions[:6]:
        session.slack(lambda: next(left))
        made.append(session.advance(action).digest)
    assert session.drafts.given_up == 1 and made == plain


@pytest.mark.parametrize("back_to", [0, 3, KEEP_EVERY, KEEP_EVERY + 5, 39])
def test_rewound_then_the_same_actions_give_the_same_frames(make, some_actions, back_to):
    session = make()
    first = digests(session, some_actions[:40])
    session.rewind(back_to)
    assert session.tick == back_to
    assert digests(session, some_actions[back_to:40]) == first[back_to:]


def test_another_branch_after_a_rewind_differs(make, some_actions, scene):
    session = make()
    first = digests(session, some_actions[:30])
    session.rewind(10)
    turned = [scene.action_space.make(yaw=-40)] * 20
    assert digests(session, turned)[-1] != first[-1]


def test_a_rewind_goes_no_further_than_what_is_kept(make, some_actions):
    session = make(rewind_s=2.0)
    for action in some_actions * 3:
        session.advance(action)
    assert session.tick == 180
    assert 180 - 60 <= session.earliest_tick <= 180 - 40
    kept = session.earliest_tick
    assert session.rewind(0).tick == kept


def test_every_tick_that_is_kept_can_be_seen_and_gone_back_to(make, some_actions):
    """Also where its picture and its state were let go."""
    session = make()
    actions = (some_actions * 8)[: NEAR_TICKS + 2 * KEEP_EVERY_FAR]
    frames = [session.frame.pixels, *(session.advance(a).frame.pixels for a in actions)]
    kept = list(session._history._past)
    assert all((p.frame is None) == (p.tick < session.tick - SEEN_TICKS + 1) for p in kept if not p.began)
    whole = [p.tick for p in kept if p.state is not None]
    assert all(t % KEEP_EVERY_FAR == 0 for t in whole if t < session.tick - NEAR_TICKS)
    for tick in (0, 1, 40, KEEP_EVERY_FAR - 1, KEEP_EVERY_FAR + 1, session.tick - SEEN_TICKS, session.tick):
        assert (session.peek(tick).pixels == frames[tick]).all() and session.peek(tick).tick == tick
    back_to = 2 * KEEP_EVERY_FAR - 1
    assert (session.rewind(back_to).pixels == frames[back_to]).all()
    again = [session.advance(a).frame.pixels for a in actions[back_to : back_to + 5]]
    assert all((a == b).all() for a, b in zip(again, frames[back_to + 1 :], strict=False))


def test_peeking_does_not_go_there(make, some_actions):
    session = make()
    expected = digests(make(), some_actions[:12])
    made = digests(session, some_actions[:6])
    assert session.peek(2).tick == 2
    assert made + digests(session, some_actions[6:12]) == expected


def test_reset_starts_the_same_world_again(make, some_actions):
    session = make()
    first = digests(session, some_actions[:10])
    session.reset()
    assert session.tick == 0 and digests(session, some_actions[:10]) == first
    session.reset(seed=8)
    assert digests(session, some_actions[:10]) != first


def test_a_swap_in_the_same_scene_keeps_the_place_and_can_be_rewound(make, other_folder, some_actions):
    session = make()
    before = digests(session, some_actions[:20])
    pose = session.frame.pose
    other = open_world(str(other_folder), LoadOptions(threads=1, backend="eager"))
    spawn = find_world(str(other_folder)).spawn(None)
    session.swap(other, spawn)
    assert session.tick == 20 and session.frame.pose == pose
    after = digests(session, some_actions[20:30])
    session.rewind(25)
    assert session.loaded is other and digests(session, some_actions[25:30]) == after[5:]
    session.rewind(12)
    assert session.loaded is not other and digests(session, some_actions[12:20]) == before[12:]


def play_everything(session: Session, other_folder, some_actions, path) -> list[str]:
    """A session with a recording begun in its middle, a swap, rewinds across it, and a reset."""
    made = digests(session, some_actions[:20])
    session.record(path)
    made += digests(session, some_actions[20:30])
    session.rewind(22)
    made += digests(session, some_actions[30:36])
    other = open_world(str(other_folder), LoadOptions(threads=1, backend="eager"))
    spawn = find_world(str(other_folder)).spawn(None)
    session.swap(other, spawn)
    made += digests(session, some_actions[36:44])
    session.rewind(26)
    made += digests(session, some_actions[44:50])
    session.reset()
    made += digests(session, some_actions[50:60])
    return made


def test_a_session_with_rewinds_and_swaps_replays(make, other_folder, some_actions, tmp_path):
    session = make("1")
    play_everything(session, other_folder, some_actions, tmp_path / "a.jsonl")
    assert session.stop_recording() == (tmp_path / "a.jsonl", 20 + 10 + 6 + 8 + 6 + 10)
    result = Replay(read_trace(tmp_path / "a.jsonl"), tmp_path / "a.jsonl").run()
    assert result.identical and result.ticks == 60 and result.incomparable is None


def test_a_changed_action_is_found(make, some_actions, tmp_path):
    path = tmp_path / "a.jsonl"
    session = make()
    session.record(path)
    for action in some_actions * 2:
        session.advance(action)
    session.close()
    lines = path.read_text().splitlines()
    row = json.loads(lines[31])
    assert row["tick"] == 31
    row["action"][session.scene.action_space.index("yaw")] = -50
    lines[31] = json.dumps(row)
    path.write_text("\n".join(lines) + "\n")
    result = Replay(read_trace(path), path).run()
    assert not result.identical and result.first_difference == 31
    assert result.psnr_db is not None and result.psnr_db < 99  # at the picture of tick 100


def test_a_user_picture_replays_from_the_trace_alone(loaded, checkpoint_folder, some_actions, tmp_path):
    from PIL import Image

    picture = tmp_path / "mine.png"
    Image.new("RGB", (300, 300), (120, 60, 30)).save(picture)
    spawn = find_world(str(checkpoint_folder)).spawn(str(picture))
    session = Session(loaded, spawn, SessionSettings("off"))
    session.record(tmp_path / "a.jsonl")
    digests(session, some_actions[:10])
    session.close()
    picture.unlink()
    assert Replay(read_trace(tmp_path / "a.jsonl"), tmp_path / "a.jsonl").run().identical


def test_a_trace_of_another_version_of_a_checkpoint_is_refused(make, some_actions, tmp_path):
    path = tmp_path / "a.jsonl"
    session = make()
    session.record(path)
    digests(session, some_actions[:3])
    session.close()
    lines = path.read_text().splitlines()
    header = json.loads(lines[0])
    header["checkpoint_sha256"] = "0" * 64
    path.write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    with pytest.raises(TraceError, match="another version"):
        Replay(read_trace(path), path)


def swap(session: Session, folder) -> None:
    loaded = open_world(str(folder), LoadOptions(threads=1, backend="eager"))
    session.swap(loaded, loaded.entry.spawn(None))


def test_every_world_is_played_with_its_own_threads(make, checkpoint_folder, other_folder, some_actions):
    """Also if it was loaded beside play: torch keeps the number apart for each thread."""
    session = make()
    digests(session, some_actions[:3])
    loaded = []

    def load() -> None:
        loaded.append(open_world(str(other_folder), LoadOptions(threads=2, backend="eager")))

    beside = threading.Thread(target=load)
    beside.start()
    beside.join()
    session.swap(loaded[0], loaded[0].entry.spawn(None))
    assert torch.get_num_threads() == 2
    digests(session, some_actions[3:6])
    session.rewind(2)
    assert torch.get_num_threads() == 1


def edited(path, kind: str, **numerics) -> None:
    """Change the numerics of a trace's records of a kind."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["kind"] == kind:
            row["numerics"] |= numerics
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_world_swapped_in_is_replayed_with_its_own_numerics(make, checkpoint_folder, some_actions, tmp_path):
    """The same checkpoint, but with other threads the second time."""
    path = tmp_path / "a.jsonl"
    session = make()
    session.record(path)
    digests(session, some_actions[:2])
    swap(session, checkpoint_folder)
    digests(session, some_actions[2:4])
    session.close()
    edited(path, "swap", threads=2)
    replay = Replay(read_trace(path), path)
    replay.run()
    assert replay.session.loaded.numerics.threads == 2 and replay.incomparable is None
    edited(path, "swap", backend="another 1.0")
    found = Replay(read_trace(path), path).run()
    assert found.incomparable is not None and "another 1.0" in found.incomparable
    edited(path, "header", threads=True)
    with pytest.raises(TraceError, match="numerics"):
        Replay(read_trace(path), path)


@pytest.mark.parametrize(
    ("recorded", "opened"),
    [("cuda bfloat16 graphs", ("auto", "cuda")), ("cuda", ("eager", "cuda")), ("openvino 2026.1", ("openvino", "cpu"))],
)
def test_a_replay_asks_for_the_back_end_recorded(make, loaded, some_actions, tmp_path, monkeypatch, recorded, opened):
    path = tmp_path / "a.jsonl"
    session = make()
    session.record(path)
    session.close()
    edited(path, "header", backend=recorded)
    asked = []

    def load(entry, options):
        asked.append((options.backend, options.device))
        return loaded

    monkeypatch.setattr("worldsim.worlds.checkpoint.CheckpointEntry.load", load)
    Replay(read_trace(path), path)
    assert asked == [opened]


def replays(session: Session, path) -> bool:
    session.close()
    return Replay(read_trace(path), path).run().identical


def test_a_swap_to_other_controls_forgets_what_was_to_be_learned(loaded, some_actions):
    """No slack, in which it would have been learned, comes between."""
    session = Session(loaded, loaded.entry.spawn(None), SessionSettings("2"))
    digests(session, some_actions[:3])
    space = loaded.world.scene.action_space
    fewer = replace(loaded.world.scene, controls=loaded.world.scene.controls[:2], events=())
    other = _Other(loaded.world, fewer)
    entry = SimpleNamespace(name="other", sha256="2" * 64, scene_sha256="1" * 64, spawn_names=(), scene=fewer)
    session.swap(replace(loaded, world=other, entry=entry), loaded.entry.spawn(None))
    assert session.scene.action_space.size == 2 < space.size
    session.advance(session.scene.action_space.idle)
    session.slack(forever)


class _Other:
    """A world of another scene, which plays as the first one idles."""

    def __init__(self, world, scene):
        self._world, self.scene = world, scene

    def __getattr__(self, name):
        return getattr(self._world, name)

    def advance_stepwise(self, state, actions):
        return self._world.advance_stepwise(state, [self._world.scene.action_space.idle] * len(actions))


def test_a_reset_after_a_swap_starts_at_the_new_worlds_spawn_and_replays(make, other_folder, some_actions, tmp_path):
    session = make()
    session.record(tmp_path / "a.jsonl")
    digests(session, some_actions[:5])
    swap(session, other_folder)
    digests(session, some_actions[5:8])
    session.reset()
    assert (session.frame.pixels == find_world(str(other_folder)).spawn(None).pixels).all()
    digests(session, some_actions[8:12])
    assert replays(session, tmp_path / "a.jsonl")


def test_rewinding_across_a_swap_brings_back_the_old_worlds_spawn(make, checkpoint_folder, other_folder, some_actions):
    session = make()
    digests(session, some_actions[:5])
    swap(session, other_folder)
    digests(session, some_actions[5:8])
    session.rewind(3)
    session.reset()
    assert (session.frame.pixels == find_world(str(checkpoint_folder)).spawn(None).pixels).all()


def test_a_swap_to_the_same_checkpoint_and_a_rewind_replay(make, checkpoint_folder, some_actions, tmp_path):
    session = make()
    session.record(tmp_path / "a.jsonl")
    digests(session, some_actions[:20])
    swap(session, checkpoint_folder)
    digests(session, some_actions[20:28])
    session.rewind(24)
    digests(session, some_actions[28:34])
    assert replays(session, tmp_path / "a.jsonl")


def test_a_swap_where_little_past_is_left_replays_in_a_later_recording(make, other_folder, some_actions, tmp_path):
    session = make(rewind_s=2.0)
    digests(session, some_actions)
    session.rewind(0)  # to the earliest tick that is kept: no past before it
    swap(session, other_folder)
    digests(session, some_actions[:4])
    session.record(tmp_path / "a.jsonl")
    digests(session, some_actions[4:8])
    assert replays(session, tmp_path / "a.jsonl")


@pytest.fixture
def straying(checkpoint_folder, tmp_path):
    """The small checkpoint, with a range of latents that no frame keeps to."""
    folder = tmp_path / "straying"
    shutil.copytree(checkpoint_folder, folder)
    write_info(
        folder, replace(read_checkpoint(folder).info, latent_range={"rms": [0.0, 1e-6], "roughness": [0.0, 1e-6]})
    )
    return folder


@pytest.mark.parametrize("anchor", ["frame", "spawn"])
def test_a_strayed_dream_is_begun_afresh_and_replays(straying, some_actions, tmp_path, anchor):
    spawn = find_world(str(straying)).spawn("a")
    settings = SessionSettings("2", seed=7, anchor=anchor)
    session = Session(open_world(str(straying), LoadOptions(threads=1, backend="eager")), spawn, settings)
    before = session.advance(some_actions[0])
    session.record(tmp_path / "late.jsonl")
    reanchored_at = []
    for action in some_actions[1:35]:
        session.slack(forever)
        result = session.advance(action)
        if result.reanchored:
            reanchored_at.append(result.frame.tick)
            same = np.array_equal(session.frame.pixels, result.frame.pixels)
            assert same == (anchor == "frame") and session.tick == result.frame.tick
    assert reanchored_at == [DRIFTED_TICKS * i for i in (1, 2, 3)] and not before.reanchored
    session.rewind(15)  # between two of them
    digests(session, some_actions[:4])
    session.record(tmp_path / "later.jsonl")  # what led here has an anchor in it
    digests(session, some_actions[:20])
    session.close()
    kinds = [r.kind for r in read_trace(tmp_path / "late.jsonl").records]
    assert kinds.count("anchor") == 3 and kinds.count("rewind") == 1
    for name in ("late.jsonl", "later.jsonl"):
        assert Replay(read_trace(tmp_path / name), tmp_path / name).run().identical, name


def test_a_dream_that_keeps_to_what_it_knows_is_left_alone(make, some_actions):
    session = make()
    assert not any(session.advance(a).reanchored for a in some_actions)


@pytest.mark.parametrize("method", ["prefill", "start"])
def test_a_swap_that_fails_leaves_the_session_as_it_was(
    make, other_folder, some_actions, tmp_path, monkeypatch, method
):
    """Of the same scene, or of one that has to start anew; what is recorded knows nothing of it."""
    expected = digests(make(), some_actions[:20])
    session = make()
    session.record(tmp_path / "a.jsonl")
    made = digests(session, some_actions[:10])
    other = open_world(str(other_folder), LoadOptions(threads=2, backend="eager"))

    def fail(*_: object) -> None:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(other.world, method, fail)
    if method == "start":
        monkeypatch.setattr(other.world, "prefill", lambda *_: None)
    here = session.origin
    with pytest.raises(RuntimeError, match="no memory left"):
        session.swap(other, other.entry.spawn(None))
    assert session.origin is here and torch.get_num_threads() == 1
    assert made + digests(session, some_actions[10:20]) == expected
    assert replays(session, tmp_path / "a.jsonl")
