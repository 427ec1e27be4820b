"""Loads a world in the background while another one plays."""

from __future__ import annotations

import threading

from worldsim.engine.protocol import EngineSettings
from worldsim.play.history import Origin
from worldsim.play.spawn_notes import spawn_after_swap
from worldsim.world import Spawn
from worldsim.worlds.catalogue import LoadedWorld, LoadOptions, find_world


class WorldLoader:
    """One world at a time; a wish that comes while one is being loaded is not heard."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._found: list[tuple[LoadedWorld, Spawn] | Exception] = []  # filled by the thread
        self._busy = False

    def begin(self, name: str, playing: Origin) -> bool:
        """Begin to load a world to go on in from the one that plays. False if one is being loaded already."""
        if self._busy:
            return False
        self._busy = True
        options = self._options(playing.loaded)

        def work() -> None:
            try:
                entry = find_world(name)
                spawn = spawn_after_swap(entry, playing.loaded.entry, playing.spawn)
                self._found.append((entry.load(options), spawn))
            except Exception as error:  # whatever is wrong with it, the session goes on
                self._found.append(error)

        threading.Thread(target=work, daemon=True).start()
        return True

    def take(self) -> tuple[LoadedWorld, Spawn] | Exception | None:
        """What was loaded, or why it was not; None while there is nothing."""
        if not self._found:
            return None
        self._busy = False
        return self._found.pop()

    def _options(self, playing: LoadedWorld) -> LoadOptions:
        """As the world that plays: to measure back ends now would be to measure beside it. The steps are the person's
        own wish, for every world."""
        settings, numerics = self._settings, playing.numerics
        known = bool(numerics.torch) and settings.device == "cpu"
        return LoadOptions(
            settings.steps,
            numerics.threads if known else settings.threads,
            numerics.backend_kind if known else settings.backend,
            settings.device,
            beside_window=True,
        )
