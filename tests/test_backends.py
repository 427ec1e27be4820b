"""Back ends: each another way to the same picture; on each, drafted = plain and replay = recording, bit for bit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support import make_checkpoint
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from worldsim import runtime
from worldsim.checkpoint import open_checkpoint
from worldsim.errors import ConfigError
from worldsim.inference import adapter, openvino
from worldsim.inference import backend_choice as choosing
from worldsim.inference.network import Networks
from worldsim.model.weights import load_networks
from worldsim.play.replay import Replay
from worldsim.play.session import Session, SessionSettings
from worldsim.play.trace import read_trace
from worldsim.stepwise import finish
from worldsim.worlds.catalogue import LoadOptions, open_world
from worldsim.worlds.neural import NeuralWorld

needs_openvino = pytest.mark.skipif(not openvino.installed(), reason="OpenVINO is not installed")
BACKENDS = [
    "eager",
    pytest.param("openvino", marks=needs_openvino),
    pytest.param("compile", marks=pytest.mark.slow),  # half a minute of compiling
]


@pytest.fixture(scope="module")
def scene(living):
    return living


@pytest.fixture(scope="module")
def checkpoint_folder(tmp_path_factory, living) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("living") / "small", 0, living)


@pytest.fixture(scope="module", params=BACKENDS)
def loaded(request, checkpoint_folder):
    with open_world(str(checkpoint_folder), LoadOptions(threads=1, backend=request.param)) as world:
        yield world


def frames(loaded, actions, speculate="off", each=lambda session: None):
    spawn = loaded.entry.spawn("a")
    session = Session(loaded, spawn, SessionSettings(speculate, seed=7))
    made = []
    for action in actions:
        each(session)
        made.append(session.advance(action))
    return session, made


def test_pictures_are_those_of_plain_torch(loaded, checkpoint_folder, some_actions):
    """Each tick from the same state: over many, rounding differences grow as they like."""
    plain = open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="eager")).world
    state, _ = plain.start(7, loaded.entry.spawn("a"))
    other, _ = loaded.world.start(7, loaded.entry.spawn("a"))
    for action in some_actions[:4]:
        (state, frame), (other, made) = plain.advance(state, action), loaded.world.advance(other, action)
        assert np.abs(frame.pixels.astype(int) - made.pixels).max() <= 2


def test_levels_that_were_not_built_in_are_refused(loaded):
    """They would be ignored: the passes of an accelerated network are one call."""
    network = loaded.world._networks.network
    if isinstance(network, adapter.Accelerated):
        rollout, prepared, context, latent = loaded.world.ready(loaded.entry.spawn("a"))
        with pytest.raises(ConfigError, match="was built for noise levels"):
            finish(network.sampling(latent, (1.0,), prepared, context))


def test_drafted_equals_plain(loaded, some_actions):
    """Human-like keys repeat and change: some drafts are accepted, some discarded."""

    def draft(session):
        session.slack(lambda: float("inf"))

    _, plain = frames(loaded, some_actions)
    for count in ("1", "3"):
        session, drafted = frames(loaded, some_actions, count, draft)
        assert [t.digest for t in plain] == [t.digest for t in drafted]
        assert session.drafts.accepted and session.drafts.discarded


class Told:
    """A predictor that is told the actions, and by a pattern of 1 and 0 whether to say the right ones."""

    def __init__(self, actions, pattern, space):
        self._actions, self._pattern, self._space, self._tick = actions, pattern, space, 0

    def observe(self, used, wanted_deg=None):
        self._tick += 1

    def candidates(self, count):
        if self._pattern[self._tick % len(self._pattern)]:
            return [(self._actions[self._tick], 1.0)]
        return [(self._space.make(yaw=17 - self._tick % 3, pitch=5), 1.0)]


@pytest.mark.parametrize("pattern", [(1,), (0,), (1, 0), (1, 1, 0), (0, 0, 1)])
def test_forced_acceptance_and_rejection_change_nothing(loaded, some_actions, pattern):
    actions = some_actions[:24]
    _, plain = frames(loaded, actions)
    told = Told(actions, pattern, loaded.world.scene.action_space)

    def draft(session):
        session._drafts.predictor = told
        session.slack(lambda: float("inf"))

    session, drafted = frames(loaded, actions, "2", draft)
    assert [t.digest for t in plain] == [t.digest for t in drafted]
    right = sum(pattern[i % len(pattern)] for i in range(len(actions)))
    assert [t.drafted for t in drafted] == [bool(pattern[i % len(pattern)]) for i in range(len(actions))]
    assert session.drafts.accepted == right and session.drafts.missed == len(actions) - right


def test_what_was_let_go_of_is_made_again_bit_for_bit(loaded, some_actions, monkeypatch):
    """Pictures and states of the past, however far back."""
    monkeypatch.setattr("worldsim.play.history.NEAR_TICKS", 8)
    monkeypatch.setattr("worldsim.play.history.SEEN_TICKS", 3)
    session, made = frames(loaded, some_actions)
    pixels = [session.peek(0).pixels, *(t.frame.pixels for t in made)]
    assert all((session.peek(tick).pixels == picture).all() for tick, picture in enumerate(pixels))
    for tick in (47, 31, 1):
        assert (session.rewind(tick).pixels == pixels[tick]).all()
        again = [session.advance(action).digest for action in some_actions[tick : tick + 6]]
        assert again == [t.digest for t in made[tick : tick + 6]]


@pytest.mark.slow
def test_a_start_is_compiled_for_once(checkpoint_folder, some_actions):
    """Its one tensor in every slot of the context, then in fewer and fewer, is no reason to compile again."""
    from torch._dynamo.utils import counters

    loaded = open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="compile"))
    before = counters["stats"]["unique_graphs"]
    frames(loaded, some_actions[:8])
    assert counters["stats"]["unique_graphs"] == before


def test_unpacking_undoes_packing(played_plain):
    generator = played_plain.world.generator
    shape = generator.shape
    condition = replace(
        shape.still(torch.rand(3, 4)), action=torch.rand(3, shape.actions), apply_action=torch.ones(3)
    )  # fmt: skip
    with torch.no_grad():
        prepared = generator.prepare(condition, torch.tensor([1.0, 0.5, 0.1]))
    packing = adapter.Packing(prepared)
    packed = packing.pack(prepared)
    for index in (None, 1):
        whole = prepared if index is None else prepared.row(index)
        rows = packed if index is None else packed[index : index + 1]
        again = packing.unpack(rows)
        pairs = [
            (whole.position, again.position),
            (whole.entities, packing.entities(rows)),
            *zip(whole.embedded.parts()[1:], again.embedded.parts()[1:], strict=True),
        ]
        pairs += [(getattr(whole.modulated, n), getattr(again.modulated, n)) for n in ("level", "blocks", "final")]
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_replay_adopts_the_back_end_and_is_identical(loaded, some_actions, tmp_path):
    session, _ = frames(loaded, some_actions[:1])
    session.record(tmp_path / "t.jsonl")
    for action in some_actions[1:]:
        session.advance(action)
    session.rewind(5)
    session.advance(some_actions[0])
    session.close()
    replay = Replay(read_trace(tmp_path / "t.jsonl"), tmp_path / "t.jsonl")
    assert replay.session.loaded.numerics == loaded.numerics
    done = replay.run()
    assert done.identical and done.incomparable is None


BRANCHES = 3


@pytest.fixture
def played_plain(checkpoint_folder):
    return open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="eager"))


@pytest.fixture
def in_company(played_plain):
    """Makes worlds that make three frames in one go, as a GPU would; here row by row, and if told so, with a trace of
    its company in every row."""

    def make(trace: float = 0.0):
        world = played_plain.world
        packing, modules = adapter.parts(world.codec, world.generator, world.steps, BRANCHES)

        def call(name, module):
            shared = {"prepare": 1, "sample": 2, "decode": 1, "encode_kv": 0}[name]  # from which input on

            @torch.no_grad()
            def run(*inputs):
                if not shared:
                    return module(*inputs)
                assert all(len(t) == BRANCHES for t in inputs[:shared])
                rows = [module(*(t[i : i + 1] for t in inputs[:shared]), *inputs[shared:])[0] for i in range(BRANCHES)]
                made = torch.cat(rows)
                return (made + trace * made.mean() if trace and name != "decode" else made,)

            return run

        calls = {name: call(name, module) for name, (module, _) in modules.items()}
        network = adapter.Accelerated(world.generator, packing, calls, world.steps, BRANCHES)
        networks = Networks(world.codec, world.generator, network, network.decode, "in company", BRANCHES)
        return networks, NeuralWorld(world.scene, networks, world.steps, 0.1)

    return make


def test_a_frame_made_in_company_is_told_from_one_that_is_not_alike(in_company):
    assert adapter.is_batch_invariant(in_company()[0], steps=2)
    assert not adapter.is_batch_invariant(in_company(1e-3)[0], steps=2)


def test_several_branches_are_drafted_in_one_go_and_one_is_taken(in_company, played_plain, some_actions, monkeypatch):
    _, world = in_company()
    goes = []
    real = world.advance_stepwise
    monkeypatch.setattr(
        world, "advance_stepwise", lambda state, actions: goes.append(len(actions)) or real(state, actions)
    )
    several = replace(played_plain, world=world)

    def draft(session):
        session.slack(lambda: float("inf"))

    _, plain = frames(played_plain, some_actions)
    session, drafted = frames(several, some_actions, "6", draft)
    assert [t.digest for t in drafted] == [t.digest for t in plain]
    assert max(goes) == BRANCHES and session.drafts.accepted and session.drafts.discarded
    for count, longest in (("1", 1), ("2", 2)):  # as many as asked for, no more
        goes.clear()
        assert [t.digest for t in frames(several, some_actions[:20], count, draft)[1]] == [t.digest for t in plain[:20]]
        assert max(goes) <= longest


class HostTensors(TorchDispatchMode):
    """Names the operations that touch a tensor on the CPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
        if any(t.device.type == "cpu" for t in tensors):
            self.found.append(str(func))
        return out


def test_what_a_cuda_graph_captures_touches_nothing_on_the_host(checkpoint_folder, monkeypatch):
    """A copy from the host cannot be captured. Elsewhere is `meta` here, which knows shapes and devices, no numbers."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # there is none for meta
    codec, generator = (network.to("meta") for network in load_networks(open_checkpoint(str(checkpoint_folder))))
    _, modules = adapter.parts(codec, generator, steps=2, branches=3)
    assert set(modules) == {"prepare", "sample", "encode_kv", "decode"}
    for name, (module, example) in modules.items():
        with HostTensors() as host, torch.no_grad():
            made = module(*example)
        assert not host.found, name
        assert all(t.device.type == "meta" for t in made)
        assert [len(t) for t in made] == [2 if name == "encode_kv" else 3]


def test_the_fastest_is_chosen_once(checkpoint_folder, monkeypatch):
    tried = []
    real = choosing.tick_seconds

    def tick_seconds(networks, steps):
        tried.append(networks.backend)
        return real(networks, steps)

    monkeypatch.setattr(choosing, "tick_seconds", tick_seconds)
    first = open_world(str(checkpoint_folder), LoadOptions(threads=1)).numerics
    both = {"eager", "openvino"} if openvino.installed() else set()  # one alone needs no measuring
    assert {name.split()[0] for name in tried} == both and first.threads == 1
    count = len(tried)
    assert open_world(str(checkpoint_folder), LoadOptions(threads=1)).numerics == first
    assert len(tried) == count


def test_a_measurement_beside_a_busy_process_ends_it(monkeypatch):
    begun = []
    real = subprocess.Popen
    monkeypatch.setattr(choosing.subprocess, "Popen", lambda *a, **k: begun.append(real(*a, **k)) or begun[-1])
    with choosing._drawing():
        assert begun[0].poll() is None
    assert begun[0].poll() is not None


def test_a_killed_measurement_leaves_no_busy_process_behind():
    """Both write to one pipe, which ends when the last of them does."""
    code = (
        "import os\nfrom worldsim.inference import backend_choice as choice\nwith choice._drawing():\n    os._exit(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 3


def test_an_unknown_back_end_is_said(checkpoint_folder):
    with pytest.raises(ConfigError, match="eager"):
        open_world(str(checkpoint_folder), LoadOptions(backend="quick"))


def test_without_openvino_that_is_said(checkpoint_folder, monkeypatch):
    monkeypatch.setattr(openvino, "installed", lambda: False)
    with pytest.raises(ConfigError, match="pip install"):
        open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="openvino"))


@needs_openvino
def test_a_broken_cache_is_made_anew(checkpoint_folder, some_actions):
    from worldsim.runtime import cache_folder

    before = frames(open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="openvino")), some_actions[:3])[1]
    for path in (cache_folder() / "openvino").glob("*.xml"):
        path.write_text("broken")
    after = frames(open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="openvino")), some_actions[:3])[1]
    assert [t.digest for t in before] == [t.digest for t in after]


@needs_openvino
@pytest.mark.parametrize("file", ["model/place.py", "diffusion/sampler.py", "inference/adapter.py"])
def test_changed_code_is_converted_anew(checkpoint_folder, tmp_path, monkeypatch, file):
    networks = load_networks(open_checkpoint(str(checkpoint_folder)))
    here = openvino._mark(*networks, 2)
    shutil.copytree(openvino._PACKAGE, tmp_path / "worldsim", ignore=shutil.ignore_patterns("checkpoints"))
    monkeypatch.setattr(openvino, "_PACKAGE", tmp_path / "worldsim")
    assert openvino._mark(*networks, 2) == here
    with (tmp_path / "worldsim" / file).open("a") as changed:
        changed.write("# changed")
    assert openvino._mark(*networks, 2) != here


@needs_openvino
def test_where_nothing_can_be_written_the_simplest_is_played(checkpoint_folder, tmp_path, monkeypatch):
    """A full disk: neither the cache nor a folder for the moment takes a model, which OpenVINO says in its own way."""

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("iostream error")

    monkeypatch.setenv("WORLDSIM_CACHE", str(tmp_path))
    monkeypatch.setattr("openvino.save_model", full)
    with pytest.raises(ConfigError, match="iostream error.*--backend eager"):
        open_world(str(checkpoint_folder), LoadOptions(threads=1, backend="openvino"))
    assert open_world(str(checkpoint_folder), LoadOptions(threads=1)).numerics.backend == "eager"
    assert not list((tmp_path / "openvino").iterdir())


def test_a_cache_that_is_no_folder_is_done_without(checkpoint_folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORLDSIM_CACHE", str(tmp_path / "file"))
    first = open_world(str(checkpoint_folder), LoadOptions(threads=1)).numerics
    assert first.backend_kind in ("eager", "openvino")


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def no_home() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(runtime.Path, "home", no_home)
    for name in ("WORLDSIM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    choosing._remember("key", choosing.Choice("eager", 1))
    assert choosing._recall("key") is None


def test_only_so_many_sets_of_models_are_kept(tmp_path):
    count = openvino._KEPT + 3
    for i in range(count):
        for path in (tmp_path / f"{i}-embed.xml", tmp_path / f"{i}-embed.bin"):
            path.touch()
            os.utime(path, (1e9 + i, 1e9 + i))
    os.utime(tmp_path / "0-embed.xml")  # just used
    openvino._forget_oldest(tmp_path)
    assert {p.name.split("-")[0] for p in tmp_path.iterdir()} == {"0", *map(str, range(4, count))}
