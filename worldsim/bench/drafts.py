"""How many ticks of a hand at the mouse find their draft, and how far that lets the frames be from the hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from worldsim.action import Action, Mouse
from worldsim.play.action_sources import action_source, bundled_traces
from worldsim.play.hand import Hand, recorded_hand
from worldsim.play.session import Session
from worldsim.scene import Scene

SENSITIVITY_DEG = 0.15  # for one count of a recorded hand: the window's default
TOLERANCE_DEG = 1.0  # the window's default


def hands_of(recordings: Iterable[Path], scene: Scene, seed: int) -> dict[str, Hand]:
    """Hands by what they are: the recordings, or where there are none synthetic play. Raises TraceError."""
    hands = {f"hand:{path.name}": recorded_hand(path, scene, SENSITIVITY_DEG) for path in recordings}
    if hands:
        return hands
    kind = "human" if bundled_traces(scene) else "random"
    space = scene.action_space

    def steps() -> Iterator[tuple[Action, float, float]]:
        for action in action_source(kind, scene, seed):
            yaw, pitch = space.motion_deg(action)
            yield action, yaw, -pitch

    return {f"synthetic:{kind}": Hand(space, Mouse(space, 1.0), steps())}


def draft_figures(session: Session, hands: dict[str, Hand], ticks: int) -> dict[str, Any]:
    """Play `ticks` ticks of each hand, drafting as in real time but without waiting for it: each tick has the slack
    that this machine leaves.

    found_moving, found_still: shares of all ticks that found their draft, apart by whether the hand moved by a whole
    quantum in them; None if there were none. remainder_mean_deg, remainder_max_deg: what a tick did not use of the
    motion that it could have used, on the worse axis.
    """
    space, period = session.scene.action_space, 1 / session.scene.tick_hz
    found: dict[bool, list[bool]] = {True: [], False: []}
    remainders = []
    spent = 0.0
    for hand in hands.values():
        for _ in range(ticks):
            until = time.perf_counter() + period - spent
            session.slack(lambda until=until: until - time.perf_counter())  # type: ignore[misc]
            action = next(hand)
            result = session.advance(action, hand.wanted_deg)
            spent = result.seconds
            found[any(space.quanta(hand.moved_deg))].append(result.drafted)
            wanted, used = space.clamp_deg(hand.wanted_deg), space.motion_deg(result.action)
            remainders.append(max(abs(w - u) for w, u in zip(wanted, used, strict=True)))
            hand.settle(action, result.action)
    moving, still = (round(statistics.mean(found[m]), 3) if found[m] else None for m in (True, False))
    return {
        "hands": list(hands),
        "ticks": ticks * len(hands),
        "found_still": still,
        "found_moving": moving,
        "moving_ticks": len(found[True]),
        "remainder_mean_deg": round(statistics.mean(remainders), 3) if remainders else None,
        "remainder_max_deg": round(max(remainders), 3) if remainders else None,
        **session.drafts.figures(),
    }
