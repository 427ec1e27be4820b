"""True engines."""
