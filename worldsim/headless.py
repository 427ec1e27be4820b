"""A session without a window, in this process: the same `Session` that a window's engine holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.session import Session, Ticked


def play_headless(
    session: Session,
    actions: Iterator[Action],
    ticks: int,
    realtime: bool,
    each: Callable[[Ticked], None] = lambda ticked: None,
) -> dict[str, Any]:
    """Play `ticks` ticks. realtime: at the scene's tick rate, drafting in the slack; else as fast as it goes.

    Returns measurements: fps of the whole run, tick times, late ticks, drafts, digests.
    """
    period = 1 / session.scene.tick_hz
    times, digests, late = [], [], 0
    begun = time.perf_counter()
    due = begun
    for _ in range(ticks):
        if realtime:
            due += period
            deadline = due

            def left(deadline: float = deadline) -> float:
                return deadline - time.perf_counter()

            session.slack(left)
            if left() < -0.25 * period:
                late += 1
                due = time.perf_counter()  # a late frame slows the world; no tick is skipped
            elif left() > 0:
                time.sleep(left())
        elif session.settings.speculate not in ("off", "auto"):
            session.slack(lambda: float("inf"))
        ticked = session.advance(next(actions))
        times.append(ticked.seconds)
        digests.append(ticked.digest)
        each(ticked)
    seconds = time.perf_counter() - begun
    drafts = session.drafts
    return {
        "ticks": ticks,
        "seconds": round(seconds, 3),
        "fps": round(ticks / max(seconds, 1e-9), 2),
        "tick_ms": percentiles(times),
        "late": late,
        "draft": {"accepted": drafts.accepted, "discarded": drafts.discarded, "given_up": drafts.given_up,
                  "wasted_ms": round(drafts.wasted_s * 1e3, 1)},
        "digests": digests,
    }  # fmt: skip


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds; zeros for no times."""
    if not seconds:
        return {"p50": 0.0, "p99": 0.0}
    low, high = np.percentile(np.asarray(seconds) * 1e3, [50, 99])
    return {"p50": round(float(low), 3), "p99": round(float(high), 3)}
