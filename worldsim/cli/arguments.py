"""What every command's arguments and results have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any


def int_in(low: int, high: int = 2**62) -> Callable[[str], int]:
    """Parses a whole number in [low, high]."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
        if not low <= value <= high:
            bounds = f"at least {low}" if high == 2**62 else f"in [{low}, {high}]"
            raise argparse.ArgumentTypeError(f"must be {bounds}, got {value}")
        return value

    return parse


def float_in(low: float, high: float) -> Callable[[str], float]:
    """Parses a number in [low, high]."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must lie in [{low:g}, {high:g}], got {value:g}")
        return value

    return parse


def report(args: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    """Print a result: one JSON object with --json, else the text."""
    print(json.dumps(result) if args.json else text, flush=True)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
