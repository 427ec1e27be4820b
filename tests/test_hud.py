"""Overlays: each draws what it should, within the room it is given, and leaves the picture alone."""

from __future__ import annotations

import numpy as np
import pygame
import pytest

from worldsim.app.hud import ACCENT, BACKGROUND, Hud
from worldsim.app.overlays.base import Press
from worldsim.app.overlays.event_line import EventLine
from worldsim.app.overlays.key_card import KeyCard
from worldsim.app.overlays.loading_card import LoadingCard
from worldsim.app.overlays.status_bar import StatusBar
from worldsim.app.overlays.timeline import PARTS, Timeline
from worldsim.app.telemetry import Status
from worldsim.registry import OVERLAYS

SIZES = [(160, 160), (480, 320), (960, 622), (1920, 1080)]


@pytest.fixture
def hud() -> Hud:
    pygame.display.init()
    return Hud()


@pytest.fixture
def status(scene) -> Status:
    long = "a note that is far longer than any window is wide, " * 5
    status = Status(checkpoint="a/folder/with-a-rather-long-name-of-a-checkpoint", scene=scene, tick=123456)
    status.mode, status.note, status.recording_s, status.reward = "REWIND to 123456", long, 3725.0, -12.5
    status.tick_ms.extend([12.0] * 50)
    return status


def colours(surface: pygame.Surface) -> set[tuple[int, ...]]:
    """Of the bars: left of them lies the legend's row, below."""
    width, height = surface.get_size()
    return {tuple(surface.get_at((x, y)))[:3] for x in range(width - 14, width - 10) for y in range(4, height - 22)}


def timeline(hud: Hud, status: Status, size=(600, 96)) -> pygame.Surface:
    return Timeline(hud).draw(size, status)


def test_each_part_of_a_tick_has_its_bar(hud, status):
    for _ in range(3):
        status.timings.append({"denoise": 20.0, "draft": 10.0})
    found = colours(timeline(hud, status))
    assert PARTS["denoise"] in found and PARTS["draft"] in found and PARTS["commit"] not in found


def test_a_tick_far_over_its_time_stays_in_the_box(hud, status):
    status.timings.append({"commit": 1e4, "draw": 1e4})
    surface = timeline(hud, status, (300, 80))
    assert surface.get_width() <= 300 and PARTS["commit"] in colours(surface)


def test_nothing_spent_is_an_empty_timeline(hud, status):
    assert not colours(timeline(hud, status)) & set(PARTS.values())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", OVERLAYS.names())
@pytest.mark.parametrize("lives", [False, True])
def test_an_overlay_stays_within_its_room(hud, status, living, name, size, lives):
    status.scene = living if lives else status.scene
    overlay = OVERLAYS.get(name)(hud)
    strip = overlay.strip(size)
    room = (size[0], strip) if strip else (size[0], size[1] - 46)
    drawn = overlay.draw(room, status).get_size()
    x, y = overlay.place(drawn, room)
    assert x >= 0 and x + drawn[0] <= room[0] and y >= 0 and y + drawn[1] <= room[1]


@pytest.mark.parametrize("size", SIZES[1:])
def test_strips_leave_most_of_the_window_to_the_picture(hud, size):
    assert sum(o.strip(size) for o in (StatusBar(hud), Timeline(hud))) < size[1] / 2


def spans(surface: pygame.Surface, top: int, bottom: int) -> list[tuple[int, int]]:
    """Columns of a row of text that hold ink, as runs parted by at least 4 empty columns."""
    pixels = pygame.surfarray.array3d(surface)[:, top:bottom].astype(int)
    ink = np.flatnonzero((np.abs(pixels - np.array(BACKGROUND)).sum(-1) > 40).any(1))
    runs = np.split(ink, np.flatnonzero(np.diff(ink) > 4) + 1) if ink.size else []
    return [(int(run[0]), int(run[-1])) for run in runs]


@pytest.mark.parametrize("size", SIZES[1:])
def test_the_bars_texts_keep_apart_and_end_before_the_edge(hud, status, size, monkeypatch):
    """Where each line of text is drawn: none begins before the one to its left has ended."""
    drawn: list[tuple[int, int, int]] = []
    plain = Hud.text

    def text(self, surface, font, words, x, y, *rest):
        end = plain(self, surface, font, words, x, y, *rest)
        drawn.append((y, x, end))
        return end

    monkeypatch.setattr(Hud, "text", text)
    surface = StatusBar(hud).draw((size[0], 46), status)
    for line in {y for y, _, _ in drawn}:
        parts = sorted((x, end) for y, x, end in drawn if y == line and end > x)
        assert all(end <= x for (_, end), (x, _) in zip(parts, parts[1:], strict=False))
        assert parts[-1][1] <= size[0]
    assert spans(surface, 5, 22)[-1][1] < size[0] - 2 and spans(surface, 25, 44)[-1][1] < size[0] - 2


def test_the_bar_tells_what_was_found_and_which_events_last_only_where_there_are_any(hud, status, monkeypatch):
    drawn: list[str] = []
    plain = Hud.text

    def text(self, surface, font, words, *rest):
        drawn.append(words)
        return plain(self, surface, font, words, *rest)

    monkeypatch.setattr(Hud, "text", text)
    StatusBar(hud).draw((960, 46), status)
    assert not any("found" in words for words in drawn)
    status.found, status.under_way = (2, 3), ("night", "lights_out")
    StatusBar(hud).draw((960, 46), status)
    assert {"2 / 3 found", "night", "lights out"} <= set(drawn)


@pytest.mark.parametrize("size", SIZES[1:])
def test_the_key_card_cuts_no_word_and_closes_at_any_key(hud, status, size, monkeypatch):
    cut: list[str] = []
    plain = Hud.shortened

    def shortened(self, font, text, room):
        out = plain(self, font, text, room)
        if out != text:
            cut.append(text)
        return out

    monkeypatch.setattr(Hud, "shortened", shortened)
    card = KeyCard(hud)
    surface = card.draw((size[0], size[1] - 46), status)
    assert not cut and ACCENT in {tuple(surface.get_at((x, y)))[:3] for x in range(16, 60) for y in range(16, 30)}
    assert card.press(pygame.K_z, "z", status) is Press.CLOSE and card.dims and card.takes_keys


def test_the_loading_card_gives_way_to_the_scene(hud, status):
    loading = LoadingCard(hud)
    assert loading.wanted(Status()) and not loading.wanted(status)
    assert not StatusBar(hud).wanted(Status()) and StatusBar(hud).wanted(status)


def typed(line: EventLine, status: Status, text: str) -> None:
    for letter in text:
        assert line.press(ord(letter), letter, status) is Press.KEEP


@pytest.fixture
def line(hud, status, living) -> EventLine:
    status.scene = living
    return EventLine(hud)


@pytest.mark.parametrize("word", ["night", "Night", "ni", "ni\t"])
def test_an_event_is_called_by_its_name_or_by_a_beginning_that_only_it_has(line, status, word):
    typed(line, status, word)
    assert line.take_called() is None
    assert line.press(pygame.K_RETURN, "\r", status) is Press.CLOSE
    assert line.take_called() == "night" and line.take_called() is None


def test_an_unknown_word_is_told_with_the_nearest_and_stays_to_be_corrected(line, status):
    typed(line, status, "nigth")
    before = pygame.image.tobytes(line.draw((600, 300), status), "RGB")
    assert line.press(pygame.K_RETURN, "\r", status) is Press.KEEP and line.take_called() is None
    assert pygame.image.tobytes(line.draw((600, 300), status), "RGB") != before
    assert line._wrong == "no event is called 'nigth', did you mean 'night'?"
    line.press(pygame.K_F12, "", status)
    assert line._wrong, "a screenshot is of what was there"
    for _ in range(2):
        line.press(pygame.K_BACKSPACE, "\b", status)
    typed(line, status, "ht")
    assert line.press(pygame.K_RETURN, "\r", status) is Press.CLOSE and line.take_called() == "night"


def test_escape_and_a_click_close_the_line_and_call_nothing(line, status):
    for key in (pygame.K_ESCAPE, 0):
        typed(line, status, "fog")
        assert line.press(key, "", status) is Press.CLOSE and line.take_called() is None
    assert line.press(pygame.K_RETURN, "\r", status) is Press.CLOSE and line.take_called() is None


def test_letters_stay_in_the_line_and_function_keys_are_the_programs(line, status):
    assert line.takes_keys and line.takes_text
    assert line.press(pygame.K_LSHIFT, "", status) is Press.KEEP
    assert line.press(pygame.K_F12, "", status) is Press.PASS


def test_a_world_without_events_has_no_line(hud, status, scene):
    from dataclasses import replace

    status.scene = replace(scene, events=())
    assert not EventLine(hud).wanted(status)
