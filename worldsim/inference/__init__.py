"""Running a checkpoint's networks: one path for a next frame, and the back ends that can take it."""
