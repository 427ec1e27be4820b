"""The way from room to room of a building, through its doorways."""

from __future__ import annotations

import heapq
import math

from worldsim.source.rooms.geometry import room_at
from worldsim.source.rooms.layout import Doorway, RoomsConfig

Point = tuple[float, float]

_STAND_M = 0.5  # before a doorway
_THERE_M = 0.7  # from where one stands before it: near enough to go through


class Routes:
    """Knows which rooms each doorway joins, and finds the shortest way (Dijkstra) between two places."""

    def __init__(self, source: RoomsConfig) -> None:
        self._source = source
        self._ways: list[tuple[int, int, Point, Point]] = []  # from a room to a room, standing before and behind
        for door in source.doorways:
            one, other = _ends(door)
            rooms = room_at(source, one), room_at(source, other)
            if rooms[0] != rooms[1]:
                self._ways += [(*rooms, one, other), (rooms[1], rooms[0], other, one)]

    def next_point(self, at: Point, goal: Point) -> Point:
        """Where to walk straight to now: the goal, or one side of the next doorway on the way there."""
        here, there = room_at(self._source, at), room_at(self._source, goal)
        if here == there:
            return goal
        open_ends: list[tuple[float, int, Point, int]] = [(0.0, here, at, -1)]
        done: set[int] = set()
        while open_ends:
            metres, room, place, first = heapq.heappop(open_ends)
            if room == there:
                near, far = self._ways[first][2:]
                return far if math.dist(at, near) < _THERE_M else near
            if room in done:
                continue
            done.add(room)
            for i, (start, end, near, far) in enumerate(self._ways):
                if start == room and end not in done:
                    rest = math.dist(far, goal) if end == there else 0.0
                    way = metres + math.dist(place, near) + math.dist(near, far) + rest
                    heapq.heappush(open_ends, (way, end, far, i if first < 0 else first))
        return goal


def _ends(door: Doorway) -> tuple[Point, Point]:
    """Where one stands before and behind a doorway."""
    x0, y0, x1, y1 = door.rect
    if y1 - y0 < x1 - x0:
        return ((x0 + x1) / 2, y0 - _STAND_M), ((x0 + x1) / 2, y1 + _STAND_M)
    return (x0 - _STAND_M, (y0 + y1) / 2), (x1 + _STAND_M, (y0 + y1) / 2)
