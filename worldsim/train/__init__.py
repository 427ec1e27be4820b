"""One trainer, a file a stage."""
