"""One table of keys: every key does something, is shown, and leaves a scene's own keys to the scene."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import ROOT

from worldsim.action import Control
from worldsim.app.bindings import BINDINGS, bindings_for, card_rows, hints, markdown_table
from worldsim.app.commands import COMMANDS, RELEASED
from worldsim.registry import OVERLAYS
from worldsim.scene import load_scene


@pytest.fixture
def arcade(scene):
    """A scene with keys of its own, one of them the program's otherwise."""
    controls = (Control("push", "axis", ("left", "right")), Control("fire", "button", ("r",)))
    return replace(scene, controls=controls, events=())


def test_every_key_has_a_command_and_every_command_a_key():
    assert {b.command for b in BINDINGS} == set(COMMANDS) and set(RELEASED) <= set(COMMANDS)
    assert {b.argument for b in BINDINGS if b.command == "toggle"} <= set(OVERLAYS.names())


def test_no_key_means_two_things_and_each_is_known_to_pygame():
    import pygame

    pygame.display.init()
    assert len({(pygame.key.key_code(b.key), b.ctrl) for b in BINDINGS}) == len(BINDINGS)


def test_the_readme_shows_the_table():
    scene = load_scene("gallery")
    text = (ROOT / "README.md").read_text()
    shown = text.split("<!-- keys -->\n")[1]
    assert shown == markdown_table(scene), "run `python -m worldsim.app.bindings` and put its table into README.md"


def test_a_scenes_own_keys_are_shown_first_and_are_its_own(scene, arcade):
    assert card_rows(arcade)[:2] == [("Right Left", "push"), ("R", "fire")]
    assert "reset" in {b.command for b in bindings_for(scene)}
    assert "reset" not in {b.command for b in bindings_for(arcade)}
    assert not any(keys == "mouse" for keys, _ in card_rows(arcade))


def test_the_hint_names_the_keys_of_the_table():
    for binding in BINDINGS:
        assert (f"{binding.label} {binding.hint}" in hints(None)) == bool(binding.hint)


def test_events_are_shown_with_their_keys_and_typed_only_where_there_are_any(living, arcade):
    rows = card_rows(living)
    assert rows[5:9] == [("1", "day"), ("2", "night"), ("3", "fog"), ("4", "party")]
    assert "call" in {b.command for b in bindings_for(living)}
    assert "call" not in {b.command for b in bindings_for(arcade) + bindings_for(None)}


def test_a_key_that_calls_an_event_is_not_the_programs(living):
    events = (replace(living.events[0], key="r"), *living.events[1:])
    assert "reset" not in {b.command for b in bindings_for(replace(living, events=events))}
