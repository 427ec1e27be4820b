"""Entities of a building of rooms: one file a kind, listed in registry.ENTITIES."""
