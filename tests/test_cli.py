"""The tool as a user calls it: results on stdout, one sentence on stderr for bad input, and the exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from support import ROOT, tool

from worldsim.config import to_mapping


@pytest.fixture
def small(checkpoint_folder):
    return str(checkpoint_folder)


def test_playing_headless_reports_json_and_nothing_else(small):
    done = tool("play", small, "--headless", "--ticks", "12", "--actions", "random", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ticks"] == 12 and len(result["digests"]) == 12 and result["fps"] > 0


def test_speculation_does_not_change_a_frame(small):
    runs = [
        json.loads(
            tool("play", small, "--headless", "--realtime", "--ticks", "50", "--seed", "7", "--actions", "human",
                 "--spawn", "a", "--speculate", mode, "--json").stdout
        )
        for mode in ("off", "auto", "2")
    ]  # fmt: skip
    assert runs[0]["digests"] == runs[1]["digests"] == runs[2]["digests"]
    assert runs[0]["draft"]["accepted"] == 0 and runs[2]["draft"]["accepted"] > 0


def test_recording_replays_and_a_change_by_hand_is_found(small, tmp_path):
    trace = tmp_path / "a.jsonl"
    assert tool("play", small, "--headless", "--ticks", "25", "--record", str(trace), "--json").returncode == 0
    done = tool("replay", str(trace), "--verify", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["identical"] is True
    assert json.loads(done.stdout)["ticks"] == 25
    lines = trace.read_text().splitlines()
    row = json.loads(lines[10])
    row["action"][:3] = [1, 1, 1]
    lines[10] = json.dumps(row)
    trace.write_text("\n".join(lines) + "\n")
    done = tool("replay", str(trace), "--verify", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["first_difference"] == row["tick"]
    assert "tick " + str(row["tick"]) in tool("replay", str(trace), "--verify").stdout


def test_a_killed_recording_replays_up_to_its_last_second(small, tmp_path):
    trace = tmp_path / "a.jsonl"
    arguments = ["play", small, "--headless", "--realtime", "--ticks", "10000", "--record", str(trace)]
    with subprocess.Popen([sys.executable, "-m", "worldsim", *arguments], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not trace.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(3)
        written = trace.read_text().count('"kind":"tick"')
        time.sleep(1.5)
        process.send_signal(signal.SIGKILL)
    done = tool("replay", str(trace), "--verify", "--json")
    assert done.returncode == 0, done.stderr
    # What was in the file a second and a half before the end still is, and more.
    assert json.loads(done.stdout)["ticks"] > written > 0


def test_a_video_is_written(small, tmp_path):
    import av

    video = tmp_path / "a.mp4"
    assert tool("play", small, "--headless", "--ticks", "20", "--video", str(video)).returncode == 0
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 20


def test_without_a_display_it_says_so_and_leaves_a_video(small, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "play.py"), small, "--ticks", "10", "--spawn", "a"], capture_output=True, text=True,
        cwd=tmp_path, check=False, env={**_environment(), "DISPLAY": "", "WAYLAND_DISPLAY": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no display" in done.stderr
    videos = list((tmp_path / "recordings").glob("*.mp4"))
    assert len(videos) == 1 and videos[0].name in done.stdout


@pytest.mark.gl
def test_the_true_engine_plays_too(small):
    done = tool("play", small, "--source", "--headless", "--ticks", "5", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["checkpoint"] == "source:gallery"


def test_bench_tells_every_part(small):
    done = tool("bench", "--checkpoint", small, "--ticks", "20", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    for key in ("fps", "denoise_ms", "commit_ms", "decode_ms", "gflop_per_tick", "params", "frame", "steps", "threads"):
        assert figures[key], key
    assert figures["tick_ms"]["p50"] <= figures["tick_ms"]["p99"]
    assert figures["draft"]["accepted"] + figures["draft"]["discarded"] > 0


@pytest.mark.gl
def test_evaluate_tells_quality_and_baselines(small, tmp_path):
    strip = tmp_path / "strip.png"
    done = tool(
        "evaluate",
        small,
        "--only",
        "quality",
        "--rollouts",
        "2",
        "--ticks",
        "16",
        "--data",
        str(tmp_path),
        "--strip",
        str(strip),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["quality"]
    first, last = figures["psnr_db_at_1"], figures["psnr_db_at_16"]
    assert first["mean_frame"] > 5 and first["last_frame_repeated"] > last["last_frame_repeated"] and strip.exists()
    assert {"dream", "memory_alone", "history_shuffled", "action_zeroed", "ceiling", "generator_worth"} <= set(first)


def test_scenes_and_checkpoints_are_listed():
    scenes = json.loads(tool("scenes", "--json").stdout)["scenes"]
    assert [s["name"] for s in scenes] == ["gallery"]
    assert tool("checkpoints", "--json").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["play", "galery"], "no checkpoint is called 'galery'"),
        (["play", "{small}", "--headless", "--ticks", "-1"], "--ticks: must be at least 0, got -1"),
        (["play", "{small}", "--headless", "--spawn", "{nonsense}"], "cannot be read as a picture"),
        (["play", "{small}", "--headless", "--spawn", "nowhere"], "neither a spawn"),
        (["play", "{small}", "--headless", "--steps", "3"], "--steps must be 1, 2, 4 or 8"),
        (["play", "{small}", "--headless", "--actions", "{nonsense}"], "not a worldsim trace"),
        (["play", "{small}", "--headless", "--record", "/proc/none/a.jsonl"], "cannot be written"),
        (["play", "{small}", "--headless", "--speculate", "sometimes"], "must be auto, off or a number"),
        (["play", "{small}", "--headless", "--replay", "{nonsense}"], "not a worldsim trace"),
        (
            ["play", "{small}", "--replay", "{nonsense}", "--events", "night"],
            "--replay and --events exclude each other",
        ),
        (["replay", "{nonsense}", "--verify"], "not a worldsim trace"),
        (["replay", "/missing.jsonl"], "cannot be read as a trace"),
        (["scenes", "--check", "{scene}"], "camera.fov_deg must lie in [1, 179], got 900"),
        (["scenes", "--check", "{nonsense}"], "must be a mapping"),
        (["scenes", "--preview", "nix", "a.png"], "no scene is called 'nix'"),
        (["scenes", "--preview", "gallery", "a.gif"], "must end in .png or .jpg, got 'a.gif'"),
        (["scenes", "--preview", "gallery", "/proc/none/a.png"], "cannot be written"),
        (["train", "forcing", "nix"], "no scene is called 'nix'"),
        (["train", "dance", "gallery"], "invalid choice: 'dance'"),
        (["bench", "--checkpoint", "nix"], "no checkpoint is called 'nix'"),
        (["evaluate", "nix"], "no checkpoint is called 'nix'"),
        (["collect", "gallery", "--ticks", "0"], "--ticks: must be at least 1, got 0"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "the following arguments are required"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, said, small, scene, tmp_path):
    nonsense, wrong = tmp_path / "nonsense", tmp_path / "wrong.yaml"
    nonsense.write_text("this is nothing\n")
    data = to_mapping(scene)
    data["camera"]["fov_deg"] = 900
    wrong.write_text(json.dumps(data))
    places = {"small": small, "nonsense": str(nonsense), "scene": str(wrong)}
    done = tool(*[a.format(**places) for a in arguments])
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.strip()]) == 1
    assert done.stdout == ""


def _environment() -> dict[str, str]:
    import os

    return {k: v for k, v in os.environ.items() if k != "SDL_VIDEODRIVER"}
