"""The `worldsim` command. Parses, calls, prints: results to stdout, all else to stderr.

Exit codes: 0 done, 1 a check failed, 2 bad input. Heavy imports happen inside the commands, so that `--help` and bad
input answer at once and a window process never loads torch.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from worldsim.cli.arguments import add_json
from worldsim.errors import ConfigError, WorldsimError

COMMANDS = ("play", "replay", "collect", "train", "evaluate", "bench", "scenes", "checkpoints")
"""Each is a module of this package with HELP, add_arguments(parser) and run(args) -> exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    started = time.perf_counter()
    try:
        parser = build_parser()
        args = parser.parse_args(argv)
        args.started = started
        command: Callable[[argparse.Namespace], int] = args.run
        return command(args)
    except WorldsimError as error:
        print(f"worldsim: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("worldsim: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage block."""

    def error(self, message: str) -> Any:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(prog="worldsim", description="Walk through worlds that a small neural network dreams.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for name in COMMANDS:
        command = importlib.import_module(f"worldsim.cli.{name}")
        added = commands.add_parser(name, help=command.HELP)
        command.add_arguments(added)
        add_json(added)
        added.set_defaults(run=command.run)
    return parser
