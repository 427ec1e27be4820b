"""All that worldsim can be extended with, by name: to add one more of a kind, write its file and add its line here.

A registry holds names and where to find what they name, as `module:attribute`. Nothing is imported before it is asked
for, so a window does not load torch because a training stage exists.

What lives outside this package registers itself: `SOURCES.register("bounce", "my_game:BounceConfig")` in a module that
the environment variable WORLDSIM_PLUGINS names (several are separated by commas), or that an installed package lists
under the entry point group `worldsim.plugins`. Plugins are imported once, in every process, when a registry is first
asked. A scene file or a checkpoint cannot name a module: only the person at the keyboard decides what code runs.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from worldsim.errors import ConfigError, nearest

PLUGINS_VARIABLE = "WORLDSIM_PLUGINS"


class Registry:
    """Names of one kind of thing."""

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        """kind: what errors call one of them. entries: name -> `module:attribute`."""
        self.kind = kind
        self._entries = dict(entries)

    def register(self, name: str, where: str) -> None:
        """Add an entry, or replace the one of that name. where: `module:attribute`."""
        self._entries[name] = where

    def names(self) -> list[str]:
        """All names, in the order in which they were registered."""
        load_plugins()
        return list(self._entries)

    def get(self, name: str, where: str = "") -> Any:
        """What `name` stands for, imported now. where: the place errors name. Raises ConfigError."""
        load_plugins()
        if name not in self._entries:
            place = f"{where}: " if where else ""
            raise ConfigError(f"{place}no {self.kind} is called {name!r:.60}, {nearest(str(name), self._entries)}")
        module, _, attribute = self._entries[name].partition(":")
        return getattr(importlib.import_module(module), attribute)


SOURCES = Registry("source", {"rooms": "worldsim.source.rooms.layout:RoomsConfig"})
"""True engines: the `engine` of a scene file -> a subclass of scene.SourceConfig."""

ENTITIES = Registry(
    "kind of entity",
    {
        kind: f"worldsim.source.rooms.entities.{kind}:{kind.capitalize()}"
        for kind in ("ball", "door", "lamp", "creature", "pickup", "prop")
    },
)
"""Kinds of entities in a building of rooms: the `kind` of an entity -> a source.rooms.entities.base.EntityConfig."""

WORLDS = Registry(
    "kind of world",
    {
        "checkpoint": "worldsim.worlds.checkpoint:CheckpointEntry",
        "source": "worldsim.worlds.source:SourceEntry",
    },
)
"""Kinds of worlds: the word before the colon in `source:gallery` -> a worlds.catalogue.WorldEntry. A name without such
a word is a checkpoint's."""

STAGES = Registry(
    "training stage",
    {
        "codec": "worldsim.train.stages.codec:CodecStage",
        "place": "worldsim.train.stages.place:PlaceStage",
        "painter": "worldsim.train.stages.painter:PainterStage",
        "odometry": "worldsim.train.stages.odometry:OdometryStage",
        "transitions": "worldsim.train.stages.transitions:TransitionsStage",
        "forcing": "worldsim.train.stages.forcing:ForcingStage",
        "resampling": "worldsim.train.stages.resampling:ResamplingStage",
        "consistency": "worldsim.train.stages.consistency:ConsistencyStage",
        "dmd": "worldsim.train.stages.dmd:DmdStage",
    },
)
"""Training stages, in the order of a recipe: `worldsim train STAGE` -> a train.stages.Stage."""

METRICS = Registry(
    "part of the evaluation",
    {
        "quality": "worldsim.evaluate.quality:Quality",
        "control": "worldsim.evaluate.control:Control",
        "memory": "worldsim.evaluate.memory:Memory",
        "counterfactual": "worldsim.evaluate.counterfactual:Counterfactual",
        "persistence": "worldsim.evaluate.persistence:Persistence",
        "entities": "worldsim.evaluate.entities:Entities",
        "events": "worldsim.evaluate.events:Events",
        "surfaces": "worldsim.evaluate.surfaces:Surfaces",
        "drift": "worldsim.evaluate.drift:Drift",
    },
)
"""Parts of the evaluation, in the order of a report: `worldsim evaluate --only PART` -> an evaluate.metric.Metric."""

OVERLAYS = Registry(
    "overlay",
    {
        "bar": "worldsim.app.overlays.status_bar:StatusBar",
        "timeline": "worldsim.app.overlays.timeline:Timeline",
        "event_line": "worldsim.app.overlays.event_line:EventLine",
        "keys": "worldsim.app.overlays.key_card:KeyCard",
        "loading": "worldsim.app.overlays.loading_card:LoadingCard",
    },
)
"""What the window shows beside and over the picture, bottom to top: a name that a key toggles -> an
app.overlays.base.Overlay."""

_loaded = False


def load_plugins() -> None:
    """Import what the environment variable and installed packages name, once. Raises ConfigError."""
    global _loaded
    if _loaded:
        return
    _loaded = True
    modules = [m.strip() for m in os.environ.get(PLUGINS_VARIABLE, "").split(",") if m.strip()]
    modules += [point.value for point in entry_points(group="worldsim.plugins")]
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(
                f"the plugin {module!r:.60} cannot be imported ({error}); check {PLUGINS_VARIABLE}"
            ) from None
