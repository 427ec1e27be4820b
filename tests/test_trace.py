from __future__ import annotations

import json

import numpy as np
import pytest

from worldsim.errors import TraceError
from worldsim.play.action_sources import BUNDLED, action_source, trace_actions
from worldsim.play.trace import Header, TraceWriter, decode_picture, digest, encode_picture, read_trace
from worldsim.source.player import EVENT_TICKS, StickyPlayer

HEADER = Header("gallery", "s", "c", "h", 3, {"name": "a"}, 2, 20.0, {}, ["walk"])


def write(path, ticks=3):
    writer = TraceWriter(path, HEADER)
    for tick in range(ticks):
        writer.write("tick", tick=tick, action=[0], digest="d")
    writer.close()
    return path


def test_reading_inverts_writing(tmp_path):
    trace = read_trace(write(tmp_path / "a.jsonl"))
    assert trace.header == HEADER
    assert [(r.seq, r.kind, r.data["tick"]) for r in trace.records] == [(0, "tick", 0), (1, "tick", 1), (2, "tick", 2)]


def test_every_cut_of_the_last_line_is_tolerated(tmp_path):
    path = write(tmp_path / "a.jsonl")
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in range(1, last + 1):
        path.write_bytes(whole[:-cut])
        assert read_trace(path).ticks in (2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("nonsense\n", "not a worldsim trace"),
        ('{"kind":"header"}\n', "not a worldsim trace"),
        ("[1, 2]\n", "not a worldsim trace"),
    ],
)
def test_what_is_no_trace_is_said_to_be_none(tmp_path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(TraceError, match=message):
        read_trace(path)


@pytest.mark.parametrize("change", [{"checkpoint": 5}, {"numerics": []}, {"seed": "3"}, {"controls": None}])
def test_a_header_of_wrong_kinds_is_refused(tmp_path, change):
    path = write(tmp_path / "a.jsonl")
    header, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(header), **change}), *rest]) + "\n")
    with pytest.raises(TraceError, match=f"header's {next(iter(change))}"):
        read_trace(path)


def test_damage_inside_names_the_line(tmp_path):
    path = write(tmp_path / "a.jsonl")
    lines = path.read_text().splitlines()
    for bad in ("{", '{"seq":1}', '{"seq":7,"kind":"tick"}', '{"seq":1,"kind":"dance"}', "3"):
        path.write_text("\n".join([lines[0], lines[1], bad, lines[3]]) + "\n")
        with pytest.raises(TraceError, match="line 3"):
            read_trace(path)


def test_another_format_is_refused(tmp_path):
    path = write(tmp_path / "a.jsonl")
    header, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(header), "format": 9}), *rest]) + "\n")
    with pytest.raises(TraceError, match="format 9"):
        read_trace(path)


def test_binary_and_missing_files_are_one_sentence(tmp_path):
    (tmp_path / "b").write_bytes(bytes(range(256)))
    for name in ("b", "missing", "."):
        with pytest.raises(TraceError, match="cannot be read as a trace"):
            read_trace(tmp_path / name)


def test_pictures_survive_as_text():
    pixels = np.random.Generator(np.random.Philox(key=0)).integers(0, 255, (16, 32, 3), dtype=np.uint8)
    assert digest(decode_picture(encode_picture(pixels), "x")) == digest(pixels)
    with pytest.raises(TraceError):
        decode_picture("no picture", "x")


def test_the_bundled_play_is_like_a_persons(scene):
    """Bursts of keys, eased pans, stillness: none of them all the time."""
    files = sorted(BUNDLED.glob("synthetic-gallery-*.jsonl"))
    assert len(files) >= 3
    for file in files:
        actions = trace_actions(file, scene)
        values = np.array([a.values for a in actions])
        yaw = scene.action_space.index("yaw")
        still, walking, looking = (values == 0).all(1).mean(), (values[:, 0] != 0).mean(), (values[:, yaw] != 0).mean()
        assert len(actions) >= 1200
        assert 0.05 < still < 0.6 and 0.15 < walking < 0.8 and 0.15 < looking < 0.8, file.name


def test_action_sources_are_endless_and_repeat_by_seed(scene, tmp_path):
    for kind in ("idle", "random", "human", str(sorted(BUNDLED.glob("synthetic-gallery-*.jsonl"))[0])):
        a, b = action_source(kind, scene, 5), action_source(kind, scene, 5)
        assert [next(a) for _ in range(1500)] == [next(b) for _ in range(1500)]


def test_a_trace_of_fewer_controls_is_played_by_their_names(scene, living, tmp_path):
    """As one recorded before a scene had events: what it does not name rests."""
    write(tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    lines[0]["controls"] = ["yaw", "walk"]
    ticks = [line for line in lines if line["kind"] == "tick"]
    for line in ticks:
        line["action"] = [3, -1]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert trace_actions(tmp_path / "b.jsonl", living) == [living.action_space.make(walk=-1, yaw=3)] * len(ticks)
    lines[0]["controls"] = ["yaw", "jump"]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(TraceError, match=r"has the controls \['jump'\], which scene living lacks"):
        trace_actions(tmp_path / "b.jsonl", living)


def test_a_random_player_calls_an_event_now_and_then_and_for_one_tick(living):
    player, space = StickyPlayer(living.action_space, 0), living.action_space
    called = np.array([space.called(player.act()) for _ in range(20_000)])
    assert 0.5 < called.sum() / (20_000 / EVENT_TICKS) < 1.5 and (called.sum(0) > 0).all()
    assert not (called[1:] & called[:-1]).any()
