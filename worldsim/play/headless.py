"""A session without a window, in this process: the same `Session` that a window's engine holds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.action import Action
from worldsim.play.hand import Hand
from worldsim.play.session import Session, TickResult


def play_headless(
    session: Session,
    actions: Iterator[Action],
    ticks: int,
    realtime: bool,
    each: Callable[[TickResult], None] = lambda result: None,
) -> dict[str, Any]:
    """Play `ticks` ticks. actions: a `Hand` may find drafts near its motion, all others are played as they are.
    realtime: at the scene's tick rate, drafting in the slack; else as fast as it goes. each: called after every tick,
    in a time that counts in real time only.

    Returns measurements: fps of the whole run, tick times, late ticks, drafts, digests; how much slower the last
    hundred ticks were than the second hundred, and the last third than the first; the process's memory after 1 000 and
    2 000 ticks and at the end.
    """
    period = 1 / session.scene.tick_hz
    times, digests, late, aside = [], [], 0, 0.0
    memory: dict[str, float] = {}
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
        action = next(actions)
        result = session.advance(action, actions.wanted_deg if isinstance(actions, Hand) else None)
        if isinstance(actions, Hand):
            actions.settle(action, result.action)
        times.append(result.seconds)
        digests.append(result.digest)
        called = time.perf_counter()
        each(result)
        if not realtime:  # there it takes of the slack
            aside += time.perf_counter() - called
        if len(times) in (min(1_000, ticks), 2_000):  # by the second, all that is kept for rewinding is there
            memory["rss_mb_1000" if len(times) < 2_000 else "rss_mb_2000"] = rss_mb()
    seconds = time.perf_counter() - begun - aside
    return {
        "ticks": ticks,
        "seconds": round(seconds, 3),
        "fps": round(ticks / max(seconds, 1e-9), 2),
        "tick_ms": percentiles(times),
        "late": late,
        "late_over_early": late_over_early(times),
        "last_over_first_third": third_over_third(times),
        **memory,
        "rss_mb_end": rss_mb(),
        "draft": session.drafts.figures(),
        "digests": digests,
    }


def late_over_early(seconds: list[float]) -> float | None:
    """Median time of the last hundred ticks over that of ticks 100 to 200; None for runs under 300."""
    if len(seconds) < 300:
        return None
    return round(float(np.median(seconds[-100:]) / np.median(seconds[100:200])), 3)


def third_over_third(seconds: list[float]) -> float | None:
    """Median time of the last third of ticks over that of the first: a trend, where other work on the machine disturbs
    any hundred of them. None for runs under 300."""
    third = len(seconds) // 3
    return None if third < 100 else round(float(np.median(seconds[-third:]) / np.median(seconds[:third])), 3)


def rss_mb() -> float:
    """Memory this process holds, in MB; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds; zeros for no times."""
    if not seconds:
        return {"p50": 0.0, "p99": 0.0}
    low, high = np.percentile(np.asarray(seconds) * 1e3, [50, 99])
    return {"p50": round(float(low), 3), "p99": round(float(high), 3)}
