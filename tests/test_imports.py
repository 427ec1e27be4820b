"""Imports point one way, in no circle, and the window stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import worldsim

ROOT = Path(worldsim.__file__).parent
# Who may import whom, lowest first: a module may import from its own layer and from lower ones.
LAYERS = [
    {
        "errors",
        "config",
        "stepwise",
        "registry",
        "action",
        "camera",
        "psnr",
        "runtime",
        "entities",
        "event",
        "scene",
        "world",
        "checkpoint",
    },  # fmt: skip
    {"kernels", "source", "diffusion"},
    {"model"},
    {"inference"},
    {"worlds"},
    {"play", "data"},
    {"engine", "bench"},
    {"app", "train", "evaluate"},
    {"cli", "__main__", "__init__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
APART = ({"app"}, {"train"}, {"evaluate"})


def sources() -> dict[str, Path]:
    """Every module of the package by its name below worldsim, `__init__` for a package itself."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] not in ("traces", "scenes", "checkpoints"):
            found[".".join(parts)] = path
    return found


def imported(path: Path, everywhere: bool = True) -> set[str]:
    """Every module below worldsim that a file imports, but for what is there for the type checker alone; without
    `everywhere` only what it needs to be imported itself, not what a function imports when it runs."""
    body = [n for n in ast.parse(path.read_text()).body if not isinstance(n, ast.If)]
    nodes = [inner for n in body for inner in ast.walk(n)] if everywhere else body
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "worldsim":
            rest = ".".join(node.module.split(".")[1:])
            names |= {f"{rest}.{a.name}".strip(".") for a in node.names} | ({rest} if rest else set())
        elif isinstance(node, ast.Import):
            names |= {a.name.removeprefix("worldsim.") for a in node.names if a.name.startswith("worldsim.")}
    return names & (set(sources()) | set(LEVEL))


def test_every_module_has_its_layer():
    assert {name.split(".")[0] for name in sources()} <= set(LEVEL)


def test_no_import_points_upwards():
    wrong = [
        f"{name} imports {other}"
        for name, path in sources().items()
        for other in imported(path)
        if LEVEL[other.split(".")[0]] > LEVEL[name.split(".")[0]]
    ]
    assert not wrong


def test_no_circle_of_modules():
    """Within a layer and within a package neither."""
    needs = {name: imported(path, everywhere=False) for name, path in sources().items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name in done:
            return
        for other in sorted(needs.get(name, ())):
            visit(other, (*way, name))
        done.add(name)

    for name in needs:
        visit(name, ())


def test_no_circle_of_packages():
    """Folders, and files beside them, import each other in one direction only."""
    above: dict[str, set[str]] = {}
    for name, path in sources().items():
        own = name.split(".")[0]
        above.setdefault(own, set()).update(o.split(".")[0] for o in imported(path, everywhere=False))
    for own, others in above.items():
        for other in others - {own}:
            assert own not in above.get(other, set()), f"{own} and {other} import each other"


def test_window_training_and_evaluation_do_not_know_each_other():
    wrong = []
    for name, path in sources().items():
        for group in APART:
            if name.split(".")[0] in group:
                others = set.union(*APART) - group
                wrong += [f"{name} imports {o}" for o in imported(path) if o.split(".")[0] in others]
    assert not wrong


def loaded_after(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(out.stdout.split())


def test_the_window_process_imports_no_torch():
    code = "import worldsim.cli.main, worldsim.app.loop, worldsim.cli.play\nworldsim.cli.main.build_parser()"
    assert not {"torch", "diffusers"} & loaded_after(code)


def test_a_session_on_the_cpu_imports_neither_diffusers_nor_gymnasium(checkpoint_folder):
    code = f"""
from worldsim.cli.main import main
assert main(["play", {str(checkpoint_folder)!r}, "--headless", "--ticks", "3", "--json"]) == 0"""
    modules_loaded = loaded_after(code)
    assert "torch" in modules_loaded and not {"diffusers", "gymnasium"} & modules_loaded


def test_kernels_are_importable_as_part_of_worldsim():
    assert "worldsim.kernels.rms_modulate" in loaded_after("import worldsim.kernels.rms_modulate")


def test_nothing_is_unpickled():
    """One published set of weights is no safetensors: torch's restricted reader makes tensors of it, nothing else."""
    restricted = 'torch.load(path, map_location="cpu", weights_only=True)'
    for path in sources().values():
        text = path.read_text()
        if path.name == "frechet.py":
            text = text.replace(restricted, "", 1)
        for word in ("torch.load(", "import pickle", "allow_pickle=True", "yaml.load("):
            assert word not in text, f"{path} has {word}"


def test_no_test_imports_conftest():
    """Pytest imports it under a name of its own: a second import would run it again, with another cache folder."""
    importing = re.compile(r"^\s*(from|import) (tests\.)?conftest\b", re.MULTILINE)
    assert not [p.name for p in Path(__file__).parent.glob("*.py") if importing.search(p.read_text())]


def test_ruff_checks_every_module():
    """Excluding the folder `data` beside the package must not exclude `worldsim/data`."""
    ruff = pytest.importorskip("ruff").find_ruff_bin()
    listed = subprocess.run([ruff, "check", "--show-files", str(ROOT)], capture_output=True, text=True, check=True)
    checked = {Path(line).resolve() for line in listed.stdout.splitlines()}
    assert {path.resolve() for path in sources().values()} <= checked
