"""The generator: a block-causal transformer over frames that predicts the clean latent of the next one.

Two ways through the same blocks. `sampling` and `encode_kv` see one new frame over an assembled context: play.
`teacher_forcing` sees a whole clip at once, every frame over its own context: training. A test holds them equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from worldsim.camera import Camera
from worldsim.config import require
from worldsim.diffusion.sampler import sampling
from worldsim.diffusion.schedule import add_noise
from worldsim.entities import DICE, QUANTA, Slot
from worldsim.errors import ConfigError
from worldsim.model.attention import MODULATIONS, Block
from worldsim.model.condition import POSE_FEATURES, Condition, ConditionEncoder, Embedded, RayGrid
from worldsim.model.context import Context, FrameKeys
from worldsim.model.layers import RotarySplit
from worldsim.model.odometry import Odometry
from worldsim.model.painter import Painter
from worldsim.model.place_memory import Extent, PlaceConfig, PlaceMemory
from worldsim.model.transitions import EntityTransitions
from worldsim.stepwise import Stepwise

SEEN_ROWS = 64  # of each entity
_EVEN = 0.5  # what attention adds to all numbers of a token, so that a part of all queries and keys can be alike
_ALIKE = 3.0  # that part, beside about 0.6 of what differs


@dataclass(frozen=True)
class GeneratorConfig:
    """Size and context of a generator."""

    width: int = 256
    depth: int = 4
    heads: int = 4
    hidden: int = 512  # of the feed-forward
    window: int = 4
    sink: int = 1
    place: PlaceConfig | None = None
    positions: Literal["rays", "grid"] = "rays"  # rotary positions: world angles of rays, or places in the frame

    def without_place(self) -> GeneratorConfig:
        """The same for a scene without a camera."""
        return replace(self, place=None, positions="grid")

    def __post_init__(self) -> None:
        require(1 <= self.heads <= 256, f"heads must lie in [1, 256], got {self.heads}")
        require(1 <= self.width <= 8192, f"width must lie in [1, 8192], got {self.width}")
        require(1 <= self.hidden <= 32768, f"hidden must lie in [1, 32768], got {self.hidden}")
        require(self.width % (16 * self.heads) == 0, f"width must be a multiple of 16 * heads, got {self.width}")
        require(1 <= self.depth <= 64, f"depth must lie in [1, 64], got {self.depth}")
        weights = self.depth * self.width * (self.width + self.hidden)
        require(
            weights <= 2**28, f"width, depth and hidden make {weights:,} weights a matrix, at most 268,435,456 may be"
        )
        require(1 <= self.window <= 64, f"window must lie in [1, 64], got {self.window}")
        require(self.sink == 1, f"sink must be 1, got {self.sink}")


@dataclass(frozen=True)
class View:
    """What a scene fixes where a player with a camera moves through a place: camera, box of the place, the longest step
    of a tick and the radius of the player's body in metres, and the seconds of a tick."""

    camera: Camera
    extent: Extent
    step_m: float
    body_m: float = 0.3
    tick_s: float = 0.05


@dataclass(frozen=True)
class Shape:
    """What a scene and a codec fix: tokens a frame (rows, columns), latent channels, actions, width over height of the
    frame, the view, entities and events. Without a camera there is no view: then no pose, no place memory, no odometry,
    and nothing is known of entities."""

    rows: int
    columns: int
    channels: int
    actions: int
    aspect: float
    view: View | None
    slots: tuple[Slot, ...] = ()
    events: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of a frame that are pictures."""
        return self.rows * self.columns

    @property
    def attended(self) -> int:
        """Tokens of a frame that others attend to: its picture and its entities."""
        return self.tokens + (len(self.slots) if self.view else 0)

    def still(self, poses: Tensor) -> Condition:
        """Idle frames at poses (F, 4): x, y in metres, yaw, pitch in radians. Entities rest, and no event is on."""
        frames = len(poses)
        entities = levels = dice = None
        if self.slots:
            entities = poses.new_tensor([slot.rest for slot in self.slots]).expand(frames, -1, -1)
            dice = poses.new_zeros(frames, len(self.slots), DICE)
        if self.events:
            levels = poses.new_zeros(frames, self.events)
        idle = poses.new_zeros(frames, self.actions)
        return Condition(idle, poses[:, 2:], poses[:, :2], poses.new_ones(frames), None, entities, levels, dice)


Assembled = tuple[Tensor, Tensor]
"""A context as a new frame attends to it: keys rotated by slot, and values, each (layers, F, heads, M, d)."""


@dataclass(frozen=True)
class Modulated:
    """The adaLN numbers of F frames at noise levels (F,): per block (layers, F, 6, 1, D), final (F, 2, 1, D)."""

    level: Tensor
    blocks: Tensor
    final: Tensor


@dataclass(frozen=True)
class Prepared:
    """What every pass over F frames needs of their conditions: position (F, 2) after the action, in metres; entities
    (F, S, FIELDS) after it, in whole quanta; embedded; modulated at L noise levels, L * F rows, level by level, of
    which the last is that of finished frames."""

    position: Tensor
    entities: Tensor
    embedded: Embedded
    modulated: Modulated

    @property
    def prior(self) -> Tensor:
        """What the place memory expects to see (F, N, C)."""
        return self.embedded.prior

    def row(self, index: int) -> Prepared:
        """Of one of the frames."""
        made, frames, one = self.modulated, len(self.position), slice(index, index + 1)
        if frames == 1:
            return self
        modulated = Modulated(made.level[index::frames], made.blocks[:, index::frames], made.final[index::frames])
        entities = self.entities[one]
        return Prepared(self.position[one], entities, Embedded(*(t[one] for t in self.embedded.parts())), modulated)

    def by_level(self) -> list[Modulated]:
        """Modulated at each level."""
        made, frames = self.modulated, len(self.position)
        parts = made.level.split(frames), made.blocks.split(frames, dim=1), made.final.split(frames)
        return [Modulated(*part) for part in zip(*parts, strict=True)]


class Generator(nn.Module):
    """x0-prediction on a rectified-flow path x_s = (1 - s) x0 + s e (see diffusion/schedule.py)."""

    slot_cos: Tensor
    slot_sin: Tensor
    quanta: Tensor
    seen_rows: Tensor

    def __init__(self, config: GeneratorConfig, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        self.split = RotarySplit(config.width // config.heads)
        view, memory, painter = shape.view, None, None
        grid = RayGrid(view.camera if view else None, shape.aspect, shape.rows, shape.columns)
        if config.place is not None:
            if view is None:
                raise ConfigError("place needs a scene with a camera and poses; leave it out")
            memory = PlaceMemory(
                config.place, view.camera, view.extent, shape.aspect, shape.rows, shape.columns, shape.channels,
                POSE_FEATURES,
            )  # fmt: skip
            if shape.slots or shape.events:
                painter = Painter(
                    shape.slots, shape.events, view.camera, shape.aspect, shape.rows, shape.columns, config.place.width,
                    shape.channels, config.place.rays,
                )  # fmt: skip
        self.condition = ConditionEncoder(
            config.width, shape.actions, shape.tokens, shape.channels, grid, self.split, memory,
            posed=view is not None, world_angles=config.positions == "rays", painter=painter, slots=shape.slots,
            events=shape.events, eye_height_m=view.camera.eye_height_m if view else 0.0,
        )  # fmt: skip
        self.condition_modulation = nn.Linear(config.width, config.depth * MODULATIONS * config.width)
        self.condition_final = nn.Linear(config.width, 2 * config.width)
        self.token_in = nn.Linear(shape.channels, config.width)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.hidden, self.split) for _ in range(config.depth)
        )
        self.token_out = nn.Linear(config.width, shape.channels)
        for name, table in zip(("slot_cos", "slot_sin"), self.split.slot_angles(1 + config.window), strict=True):
            self.register_buffer(name, table, persistent=False)
        self.odometry: Odometry | None = None
        if view is not None:
            self.odometry = Odometry(shape.actions, view.step_m, view.extent, shape.slots, view.body_m)
        self.transitions: EntityTransitions | None = None
        if view is not None and shape.slots:
            self.transitions = EntityTransitions(
                shape.slots, shape.actions, shape.events, view.extent, view.step_m, view.tick_s, view.body_m
            )
        if view is not None and shape.slots:  # rows that entities were seen to have: see worlds.read_entities
            rest = torch.tensor([slot.rest for slot in shape.slots])[:, None]
            self.register_buffer("seen_rows", rest.expand(-1, SEEN_ROWS, -1).clone())
        self.register_buffer("quanta", torch.tensor(QUANTA, dtype=torch.float32), persistent=False)
        for layer in (self.condition_modulation, self.condition_final, self.token_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self._look_back()

    @torch.no_grad()
    def _look_back(self) -> None:
        """Let half of the heads begin by looking where past frames showed what lies in the same direction: the cosine
        sides of their rotated numbers are alike in all tokens, so only the angle between two rays counts. In a trial a
        block that had to find this by itself had not after 1 200 steps."""
        width, split = self.config.width, self.split
        _, shift, gate, *_ = self.condition_modulation.bias.view(self.config.depth, MODULATIONS, width).unbind(1)
        shift.fill_(_EVEN)
        gate.fill_(1.0)
        alike = torch.zeros(width // self.config.heads)
        alike[split.cosine_sides()] = _ALIKE / (_EVEN * width)
        for block in self._layers:
            queries_keys = block.qkv.weight.view(3, self.config.heads, -1, width)[:2, ::2]
            queries_keys += alike[:, None]

    @property
    def _layers(self) -> list[Block]:
        return cast(list[Block], self.blocks)

    def prepare(self, condition: Condition, level: Tensor) -> Prepared:
        """Carry on players and entities, then embed, and modulate at noise levels (L,)."""
        position, entities = self.carry_on(condition)
        after = replace(condition, position=position)
        if self.shape.slots:
            after = replace(after, entities=entities * self.quanta)
        embedded = self.condition.embed(after)
        vector, level = embedded.vector.repeat(len(level), 1), level.repeat_interleave(len(position))
        return Prepared(position, entities, embedded, self.modulate(vector, level))

    def carry_on(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """Where the players are after the action, (F, 2) in metres, and what has become of the entities, (F, S, FIELDS)
        in whole quanta: moved by odometry and learned transitions where `apply_action` says so."""
        position, entities = condition.position, condition.things
        whole = torch.round(entities / self.quanta) if self.shape.slots else entities
        if condition.apply_action is None or self.odometry is None:
            return position, whole
        moves = condition.apply_action[:, None] > 0
        step = self.odometry(condition.action, position, condition.look[:, 0], entities, self.known_walls)
        low, span = self.odometry.low, self.odometry.span
        after = torch.minimum(torch.maximum(position + step, low), low + span)
        after = torch.where(moves, after, position)
        if self.transitions is None:
            return after, whole
        moved = self.transitions(
            entities, position, after, condition.look, condition.action, condition.happening, condition.chances
        )
        return after, torch.where(moves[..., None], self.transitions.rounded(moved), whole)

    @property
    def known_walls(self) -> Tensor | None:
        """Where walls are (1, 3, rows, columns), as odometry takes it; None where nobody has said so."""
        return None if self.transitions is None else self.transitions.walls

    def modulate(self, vector: Tensor, level: Tensor) -> Modulated:
        """The adaLN numbers of F frames, embedded as vectors (F, D), at noise levels (F,)."""
        vector = nn.functional.silu(self.condition.with_level(vector, level))
        width = self.config.width
        modulation = self.condition_modulation(vector).view(-1, self.config.depth, MODULATIONS, 1, width)
        return Modulated(level, modulation.transpose(0, 1), self.condition_final(vector).view(-1, 2, 1, width))

    def denoise(self, x: Tensor, modulated: Modulated, embedded: Embedded, context: Context | None) -> Tensor:
        """One pass over new frames x (F, N, C) at the noise levels of `modulated`: the clean latents (F, N, C) it
        believes in. context: theirs, or one for all of them; None for start pictures, each of which is its own past."""
        return self._denoise(x, modulated, embedded, self._past(context))

    def _denoise(self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Assembled | None) -> Tensor:
        h, _, _ = self._run_blocks(x, modulated, embedded, past, self.config.depth)
        return self._leave(h.float(), x, modulated.level, modulated.final, embedded)

    def sampling(
        self, noise: Tensor, levels: tuple[float, ...], prepared: Prepared, context: Context
    ) -> Stepwise[Tensor]:
        """The clean latents (F, N, C) of new frames from pure noise, by a pass at each of the levels, pausing after
        each. `prepared` at the same levels."""
        at, past = dict(zip(levels, prepared.by_level(), strict=False)), self._past(context)
        return sampling(noise, levels, lambda x, level: self._denoise(x, at[level], prepared.embedded, past))

    def encode_kv(self, latent: Tensor, noise: Tensor, prepared: Prepared, context: Context | None) -> FrameKeys:
        """The keys and values of finished frames (F, N, C), noised to the last of the levels; context as of `denoise`.
        What the last block makes of its own nobody needs."""
        modulated = prepared.by_level()[-1]
        x = add_noise(latent, noise, modulated.level[:, None, None])
        _, keys, values = self._run_blocks(x, modulated, prepared.embedded, self._past(context), self.config.depth - 1)
        return torch.stack([torch.stack(keys), torch.stack(values)])

    def _run_blocks(
        self, x: Tensor, modulated: Modulated, embedded: Embedded, past: Assembled | None, finished: int
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Tokens after the first `finished` blocks, and each block's keys and values."""
        h = self._enter(x, modulated.level, embedded).to(self._layers[0].query_scale.dtype)
        modulation = modulated.blocks.to(h.dtype)
        keys, values, frames = [], [], len(x)
        for i, block in enumerate(self._layers):
            q, k, v = block.queries_keys_values(h, modulation[i], embedded.cos, embedded.sin)
            keys.append(k)
            values.append(v)
            if i >= finished:
                continue
            if past is None:
                past_k, past_v = self._own_past(k), v.repeat(1, 1, 1 + self.config.window, 1)
            else:
                past_k, past_v = past[0][i], past[1][i]
                if len(past_k) != frames:
                    past_k, past_v = (t.expand(frames, -1, -1, -1) for t in (past_k, past_v))
            h = block.attend(h, modulation[i], q, torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2))
        return h, keys, values

    def teacher_forcing(
        self,
        clean: Tensor,
        clean_level: Tensor,
        noisy: Tensor,
        noisy_level: Tensor,
        condition: Condition,
        again: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """A clip of T frames after one sink frame: teacher forcing on [clean | noisy].

        clean (B, 1 + T, N, C), the sink first, with levels (B, 1 + T); noisy (B, T - 1, N, C), frames 1 to T - 1,
        with levels (B, T - 1); condition over B * (1 + T) frames. Noisy frame i sees the sink, clean frames i - window
        to i - 1 (frame 0 standing in for any before it) and itself; clean frames likewise. Returns the predicted
        clean latents of the noisy frames (B, T - 1, N, C) and, if wanted `again`, of the clean ones (B, 1 + T, N, C).
        """
        batch, count, tokens, channels = clean.shape
        embedded = self.condition.embed(condition)
        embedded_noisy = Embedded(*(t.unflatten(0, (batch, count))[:, 2:].flatten(0, 1) for t in embedded.parts()))
        flat_level, flat_noisy_level = clean_level.reshape(-1), noisy_level.reshape(-1)
        x, x_noisy = clean.reshape(-1, tokens, channels), noisy.reshape(-1, tokens, channels)
        seen = self.modulate(embedded.vector, flat_level)
        made = self.modulate(embedded_noisy.vector, flat_noisy_level)
        h = self._enter(x, flat_level, embedded)
        g = self._enter(x_noisy, flat_noisy_level, embedded_noisy)
        for i, block in enumerate(self._layers):
            q, k, v = block.queries_keys_values(h, seen.blocks[i], embedded.cos, embedded.sin)
            qn, kn, vn = block.queries_keys_values(g, made.blocks[i], embedded_noisy.cos, embedded_noisy.sin)
            past_k, past_v = self._gather(k, v, batch)
            if again or i < self.config.depth - 1:
                seen_k, seen_v = past_k.flatten(0, 1), past_v.flatten(0, 1)
                h = block.attend(h, seen.blocks[i], q, torch.cat([seen_k, k], 2), torch.cat([seen_v, v], 2))
            past_k, past_v = past_k[:, 2:].flatten(0, 1), past_v[:, 2:].flatten(0, 1)
            g = block.attend(g, made.blocks[i], qn, torch.cat([past_k, kn], 2), torch.cat([past_v, vn], 2))
        made_latent = self._leave(g, x_noisy, flat_noisy_level, made.final, embedded_noisy)
        made_latent = made_latent.view(batch, count - 2, tokens, channels)
        if not again:
            return made_latent, None
        return made_latent, self._leave(h, x, flat_level, seen.final, embedded).view(batch, count, tokens, channels)

    def _enter(self, x: Tensor, level: Tensor, embedded: Embedded) -> Tensor:
        """Noisy latents (F, N, C) -> tokens (F, N + S, D), at unit variance whatever the level."""
        scale = (level.square() + (1 - level).square()).rsqrt()[:, None, None]
        h = self.token_in(x * scale)
        return nn.functional.pad(h, (0, 0, 0, embedded.tokens.shape[1] - h.shape[1])) + embedded.tokens

    def _leave(self, h: Tensor, x: Tensor, level: Tensor, final: Tensor, embedded: Embedded) -> Tensor:
        """Predicted clean latent: the place memory's prior and what the network adds to it, with the share of x that
        the best linear prior keeps (c_skip and c_out of EDM, Karras et al. 2022, on this path, for a truth prior_std
        about the prior)."""
        h = nn.functional.rms_norm(h[:, : x.shape[1]], (h.shape[-1],), eps=1e-6)
        s, prior_std, prior = level[:, None, None], embedded.prior_std, embedded.prior
        signal = (1 - s) * prior_std.square()
        variance = s.square() + (1 - s) * signal
        out = self.token_out(h * (1 + final[:, 0]) + final[:, 1])
        # Put together and taken apart again: OpenVINO cannot fuse so long a chain, and does not see that by itself.
        keep, add = torch.cat([signal / variance, s * prior_std * variance.rsqrt()], dim=-1).split(1, dim=-1)
        return prior + keep * (x - (1 - s) * prior) + add * out

    def _past(self, context: Context | None) -> Assembled | None:
        """A context as a new frame attends to it."""
        return None if context is None else context.assembled(self.split, self.slot_cos, self.slot_sin)

    def _own_past(self, k: Tensor) -> Tensor:
        """A start picture's keys in every slot of its own context: (F, heads, (1 + window) * N, d)."""
        cos, sin = self._slot_tables(k)
        return self.split.rotate_time(k[:, :, None].expand(-1, -1, len(cos), -1, -1), cos, sin).flatten(2, 3)

    def _slot_tables(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Rotations of the past slots (1 + window, 1, pairs)."""
        return self.slot_cos[:, None].to(like.dtype), self.slot_sin[:, None].to(like.dtype)

    def _gather(self, k: Tensor, v: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        """Past keys, rotated by slot, and values of every frame of clips: k, v (B * count, heads, N, d), frame 0 of
        each clip its sink -> each (B, count, heads, (1 + window) * N, d).

        Frame 1 stands in for all before it, and the sink was a start picture: its own past. Slices and cat rather
        than an index, whose backward pass is a slow scatter.
        """
        heads, tokens, d = k.shape[1:]
        window = self.config.window
        cos, sin = self._slot_tables(k)

        def pick(x: Tensor) -> Tensor:
            x = x.view(batch, -1, heads, tokens, d)
            count = x.shape[1]
            sink, first, later = x[:, :1], x[:, 1:2], x[:, 2:]
            slots = [sink.expand(-1, count, -1, -1, -1)]
            for back in range(window, 0, -1):  # the frame so many before
                stand_in = first.expand(-1, min(back, count - 1), -1, -1, -1)
                slots.append(
                    torch.cat([sink, stand_in, torch.cat([first, later], 1)[:, : max(0, count - 1 - back)]], 1)
                )
            return torch.stack(slots, dim=3)  # (B, count, heads, slots, N, d)

        return self.split.rotate_time(pick(k), cos, sin).flatten(3, 4), pick(v).flatten(3, 4)
