"""Our own engine: buildings of rectangular rooms."""
