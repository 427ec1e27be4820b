"""worldsim: walk through worlds that a small neural network dreams in real time."""

__version__ = "0.1.0"
