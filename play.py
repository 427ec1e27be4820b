"""The desktop session: `python play.py [CHECKPOINT]` is the same as `worldsim play [CHECKPOINT]`."""

import sys

from worldsim.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main(["play", *sys.argv[1:]]))
