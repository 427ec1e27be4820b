"""What is shown beside and over the picture: one class in one file each, listed in registry.OVERLAYS."""
