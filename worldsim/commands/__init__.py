"""One module for each larger command of the `worldsim` tool: its arguments and what it does with them."""
