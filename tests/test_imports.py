"""Imports point one way, and the window stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import worldsim

ROOT = Path(worldsim.__file__).parent
# Who may import whom, lowest first: a module may import from its own layer's packages and from lower layers.
LAYERS = [
    {"errors", "config", "pans", "__init__"},
    {"action", "camera"},
    {"scene"},
    {"world", "trace", "machine"},
    {"kernels", "video"},
    {"model", "diffusion", "source", "player", "checkpoint", "speculation"},
    {"rollout", "actions", "data", "localise", "backends"},
    {"baselines"},
    {"neural_world", "drafts", "history"},
    {"session"},
    {"loader", "headless"},
    {"replay"},
    {"engine"},
    {"app", "train", "evaluate"},
    {"commands", "cli", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
APART = ({"app"}, {"train"}, {"evaluate"})


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield path, parts[0]


def imported(path: Path) -> set[str]:
    """First part below worldsim of everything a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "worldsim":
            rest = node.module.split(".")[1:]
            names |= {rest[0]} if rest else {a.name for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("worldsim.")}
    return names


def test_every_module_has_its_layer():
    assert {name for _, name in modules()} <= set(LEVEL)


def test_no_import_points_upwards():
    wrong = [
        f"{path.relative_to(ROOT)} imports {other}"
        for path, name in modules()
        for other in imported(path)
        if LEVEL[other] > LEVEL[name]
    ]
    assert not wrong


def test_window_training_and_evaluation_do_not_know_each_other():
    wrong = []
    for path, name in modules():
        for group in APART:
            if name in group:
                wrong += [f"{path.relative_to(ROOT)} imports {o}" for o in imported(path) & (set.union(*APART) - group)]
    assert not wrong


def loaded_after(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(out.stdout.split())


def test_the_window_process_imports_no_torch():
    code = "import worldsim.cli, worldsim.app.loop, worldsim.commands.play\nworldsim.cli.build_parser()"
    assert not {"torch", "diffusers"} & loaded_after(code)


def test_a_session_on_the_cpu_imports_no_diffusers(checkpoint_folder):
    code = f"""
from worldsim.cli import main
assert main(["play", {str(checkpoint_folder)!r}, "--headless", "--ticks", "3", "--json"]) == 0"""
    modules_loaded = loaded_after(code)
    assert "torch" in modules_loaded and "diffusers" not in modules_loaded


def test_kernels_are_importable_as_part_of_worldsim():
    assert "worldsim.kernels.rms_modulate" in loaded_after("import worldsim.kernels.rms_modulate")


def test_nothing_is_unpickled():
    """One published set of weights is no safetensors: torch's restricted reader makes tensors of it, nothing else."""
    restricted = 'torch.load(path, map_location="cpu", weights_only=True)'
    for path, _ in modules():
        text = path.read_text()
        if path.name == "frechet.py":
            text = text.replace(restricted, "", 1)
        for word in ("torch.load(", "import pickle", "allow_pickle=True", "yaml.load("):
            assert word not in text, f"{path} has {word}"
