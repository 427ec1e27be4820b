"""The `worldsim` command, one file a subcommand."""
