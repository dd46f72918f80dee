"""The command `degrain`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import degrain
from degrain.commands import (
    assign,
    card,
    compare,
    denoise,
    drift,
    export,
    preset,
    promote,
    realism,
    register,
    report,
    rollback,
    sampling,
    serve,
    sync,
    table,
)
from degrain.errors import DegrainError

# In the order of `degrain --help`.
COMMANDS = (
    *(denoise, export, serve),
    *(table, realism, sampling, report, preset, assign),
    *(register, promote, rollback, card, compare, sync, drift),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 done, 1 some of it failed, 2 it could not start,
    3 the gate refused, 4 drift.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (DegrainError, OSError) as error:  # OSError: a name that is too long, and the like
        print(f"degrain: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="degrain", description="Denoise images with networks trained adversarially."
    )
    parser.add_argument("--version", action="version", version=f"degrain {degrain.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser
